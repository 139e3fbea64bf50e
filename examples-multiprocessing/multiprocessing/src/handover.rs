//! Handing handles to a spawned process along with its serialised argument.
//!
//! A handle (a lock, a queue, a pipe's end) is shared memory or a pipe, which a descriptor
//! stands for. It serialises as its position in a list that travels beside the bytes, where
//! no `Serialize` or `Deserialize` of the program can change it: each entry says what kind
//! of handle it is, and is only taken as that. The spawning side:
//!
//! ```text
//! let (bytes, handles) = handover::collect(|| postcard::to_stdvec(&argument));
//! // handles.fds: duplicates, close-on-exec; after the fork, and before the exec, the
//! // child places them where the fresh program expects them.
//! ```
//!
//! The fresh program, once, at the top of `main`:
//!
//! ```text
//! registry::join_registry(registry_fd)?;
//! let argument = handover::receive(handles, || postcard::from_bytes(&bytes));
//! ```
//!
//! A handle's `Serialize` calls [`give`] or [`give_memory`], its `Deserialize` [`take`] or
//! [`take_memory`]. Outside of the two scopes they are refused with a sentence: a lock
//! written into a file or a message would name a descriptor that the reader does not have.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sys::descriptor::{self, Reason};

/// What kind of handle it is. The same in all processes of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kind(u64);

impl Kind {
    pub(crate) fn of<T: ?Sized + 'static>() -> Self {
        let mut hasher = DefaultHasher::new();
        TypeId::of::<T>().hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The same as part of the handles that this thread is in: see [`as_kind`].
    fn in_handle(self) -> Self {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        WITHIN.with_borrow(|handles| handles.hash(&mut hasher));
        Self(hasher.finish())
    }

    /// A kind of its own for each number.
    pub(crate) fn with(self, number: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.0, number).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// A piece of shared memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// The device and the inode of its file.
    pub(crate) file: (u64, u64),
    /// The number of bytes of the file that are mapped.
    pub(crate) mapped: usize,
    /// Where the piece begins.
    pub(crate) start: usize,
    /// The number of its bytes.
    pub(crate) len: usize,
}

/// An entry of the list.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Entry {
    kind: Kind,
    /// The position of its descriptor. Several pieces of one file share a descriptor.
    fd: usize,
    /// The fields of a [`Memory`]; zeroes for anything else.
    mapped: usize,
    start: usize,
    len: usize,
}

/// The handles of an argument.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) entries: Vec<Entry>,
}

impl Handles {
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let fds = self.fds.iter().map(descriptor::duplicate);
        Ok(Self {
            fds: fds.collect::<io::Result<_>>()?,
            entries: self.entries.clone(),
        })
    }
}

/// Those that are handed on: from a pool's parent to its supervisor, for its workers.
impl Serialize for Handles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fds: Vec<_> = self.fds.iter().map(HandedOn).collect();
        (fds, &self.entries).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Handles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (fds, entries) = <(Vec<TakenOver>, _)>::deserialize(deserializer)?;
        Ok(Self {
            fds: fds.into_iter().map(|TakenOver(fd)| fd).collect(),
            entries,
        })
    }
}

/// A descriptor of [`Handles`] that are handed on.
struct HandedOn<'a>(&'a OwnedFd);

impl Serialize for HandedOn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        give(self.0.as_fd(), Kind::of::<TakenOver>(), serializer)
    }
}

/// A [`HandedOn`] at the other side.
struct TakenOver(OwnedFd);

impl<'de> Deserialize<'de> for TakenOver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(Kind::of::<TakenOver>(), deserializer).map(Self)
    }
}

/// The handles of the argument that a thread is serialising.
#[derive(Default)]
struct Given {
    handles: Handles,
    /// The addresses of the objects that several handles may share.
    objects: Vec<usize>,
    /// The positions of the descriptors of files that were given already.
    files: HashMap<(u64, u64), usize>,
}

/// The handles of the argument that a thread is deserialising.
struct Received {
    entries: Vec<Entry>,
    /// Each can be taken once, or be mapped once.
    fds: Vec<Slot>,
    /// The objects that several handles may share, by their numbers.
    objects: HashMap<usize, Arc<dyn Any + Send + Sync>>,
}

enum Slot {
    There(OwnedFd),
    Mapped(Box<dyn Any>),
    Gone,
}

thread_local! {
    static GIVEN: RefCell<Option<Given>> = const { RefCell::new(None) };
    static RECEIVED: RefCell<Option<Received>> = const { RefCell::new(None) };
    /// The handles that this thread is serialising or deserialising, the outermost
    /// first.
    static WITHIN: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Runs `serde`, in which everything is given or taken as part of a handle of this name.
pub(crate) fn as_kind<R>(name: &'static str, serde: impl FnOnce() -> R) -> R {
    /// Also leaves the handle if the other side of `serde`, which may be the program's
    /// own, panics.
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            WITHIN.with_borrow_mut(Vec::pop);
        }
    }
    WITHIN.with_borrow_mut(|handles| handles.push(name));
    let _inside = Inside;
    serde()
}

/// Implements serde for a handle: its fields in their order, as parts of this kind of
/// handle.
macro_rules! handle {
    ($name:ident $(<$t:ident $(: $bound:path)?>)? { $($field:ident),+ }) => {
        /// Only as part of the argument of a spawned process.
        impl $(<$t $(: $bound)?>)? serde::Serialize for $name $(<$t>)? {
            fn serialize<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                $crate::handover::as_kind(stringify!($name), || {
                    ($(&self.$field,)+).serialize(serializer)
                })
            }
        }

        impl<'de $(, $t $(: $bound)?)?> serde::Deserialize<'de> for $name $(<$t>)? {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                $crate::handover::as_kind(stringify!($name), || {
                    let ($($field,)+) = serde::Deserialize::deserialize(deserializer)?;
                    Ok(Self { $($field,)+ })
                })
            }
        }
    };
}
pub(crate) use handle;

/// Runs `serialise` and collects the handles it meets.
pub(crate) fn collect<R>(serialise: impl FnOnce() -> R) -> (R, Handles) {
    let outer = GIVEN.replace(Some(Given::default()));
    let result = serialise();
    let given = GIVEN.replace(outer).unwrap_or_default();
    (result, given.handles)
}

/// Runs `deserialise` so that the handles it meets are found among these. The descriptors
/// that are not taken are closed.
pub(crate) fn receive<R>(handles: Handles, deserialise: impl FnOnce() -> R) -> R {
    let received = Received {
        entries: handles.entries,
        fds: handles.fds.into_iter().map(Slot::There).collect(),
        objects: HashMap::new(),
    };
    let outer = RECEIVED.replace(Some(received));
    let result = deserialise();
    RECEIVED.replace(outer);
    result
}

/// Serialises a descriptor.
pub(crate) fn give<S: Serializer>(
    fd: BorrowedFd<'_>,
    kind: Kind,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    add(serializer, |given| {
        given.handles.fds.push(descriptor::duplicate(fd)?);
        Ok(Entry {
            kind,
            fd: given.handles.fds.len() - 1,
            mapped: 0,
            start: 0,
            len: 0,
        })
    })
}

/// Serialises a piece of shared memory.
pub(crate) fn give_memory<S: Serializer>(
    fd: BorrowedFd<'_>,
    kind: Kind,
    memory: Memory,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    add(serializer, |given| {
        let fd = if let Some(&position) = given.files.get(&memory.file) {
            position
        } else {
            given.handles.fds.push(descriptor::duplicate(fd)?);
            let position = given.handles.fds.len() - 1;
            given.files.insert(memory.file, position);
            position
        };
        Ok(Entry {
            kind,
            fd,
            mapped: memory.mapped,
            start: memory.start,
            len: memory.len,
        })
    })
}

fn add<S: Serializer>(
    serializer: S,
    entry: impl FnOnce(&mut Given) -> io::Result<Entry>,
) -> Result<S::Ok, S::Error> {
    let position = GIVEN.with_borrow_mut(|given| {
        let Some(given) = given else {
            return Err(S::Error::custom(
                "a lock, queue or pipe can only be sent in the argument of a process \
                 that is being spawned or of a pool's initializer, not in a message, \
                 a task or a file",
            ));
        };
        let entry = entry(given);
        let mut entry = entry.map_err(|why| S::Error::custom(Reason(&why)))?;
        entry.kind = entry.kind.in_handle();
        given.handles.entries.push(entry);
        Ok(given.handles.entries.len() - 1)
    })?;
    position.serialize(serializer)
}

/// Deserialises a descriptor that was given as one of this kind.
pub(crate) fn take<'de, D: Deserializer<'de>>(
    kind: Kind,
    deserializer: D,
) -> Result<OwnedFd, D::Error> {
    take_one_of(&[kind], deserializer).map(|(_, fd)| fd)
}

/// Deserialises a descriptor that was given as one of these kinds, with the position of
/// that kind.
pub(crate) fn take_one_of<'de, D: Deserializer<'de>>(
    kinds: &[Kind],
    deserializer: D,
) -> Result<(usize, OwnedFd), D::Error> {
    with_entry(
        kinds,
        deserializer,
        |_, index, slot| match std::mem::replace(slot, Slot::Gone) {
            Slot::There(fd) => Ok((index, fd)),
            _ => Err(D::Error::custom("this end of a pipe was received already")),
        },
    )
}

/// Deserialises a piece of shared memory that was given as one of this kind: the mapping
/// of its file by `map`, where the piece begins and its length.
pub(crate) fn take_memory<'de, D, M, E>(
    kind: Kind,
    map: impl FnOnce(OwnedFd, usize) -> Result<M, E>,
    deserializer: D,
) -> Result<(M, usize, usize), D::Error>
where
    D: Deserializer<'de>,
    M: Clone + 'static,
    E: std::fmt::Display,
{
    with_entry(&[kind], deserializer, |entry, _, slot| {
        if let Slot::There(_) = slot
            && let Slot::There(fd) = std::mem::replace(slot, Slot::Gone)
        {
            let mapped = map(fd, entry.mapped).map_err(D::Error::custom)?;
            *slot = Slot::Mapped(Box::new(mapped));
        }
        match slot {
            Slot::Mapped(mapped) => mapped.downcast_ref::<M>().cloned(),
            Slot::There(_) | Slot::Gone => None,
        }
        .map(|mapped| (mapped, entry.start, entry.len))
        .ok_or_else(|| D::Error::custom("this memory could not be mapped"))
    })
}

/// A number for an object that several handles in the argument may share, so that they
/// share one in the other process, too: see [`unify`].
pub(crate) fn number_of<T>(object: &Arc<T>) -> usize {
    let address = Arc::as_ptr(object).addr();
    GIVEN.with_borrow_mut(|given| {
        let Some(given) = given else { return 0 };
        let known = given.objects.iter().position(|known| *known == address);
        known.unwrap_or_else(|| {
            given.objects.push(address);
            given.objects.len() - 1
        })
    })
}

/// The object that was received first with this number, if it is of this type; otherwise
/// this one.
pub(crate) fn unify<T: Send + Sync + 'static>(
    number: usize,
    object: Arc<T>,
) -> Arc<T> {
    RECEIVED.with_borrow_mut(|received| {
        let Some(received) = received else {
            return object;
        };
        let first = received.objects.entry(number);
        let first = first.or_insert_with(|| Arc::<T>::clone(&object));
        Arc::clone(first).downcast().unwrap_or(object)
    })
}

fn with_entry<'de, D: Deserializer<'de>, R>(
    kinds: &[Kind],
    deserializer: D,
    use_it: impl FnOnce(Entry, usize, &mut Slot) -> Result<R, D::Error>,
) -> Result<R, D::Error> {
    let position = usize::deserialize(deserializer)?;
    RECEIVED.with_borrow_mut(|received| {
        let received = received.as_mut().ok_or_else(|| {
            D::Error::custom(
                "a lock, queue or pipe can only be received in the argument that a \
                 spawned process or a pool's initializer starts with",
            )
        })?;
        let entry = received.entries.get(position).copied();
        let index = entry.and_then(|entry| {
            let mut kinds = kinds.iter();
            kinds.position(|kind| kind.in_handle() == entry.kind)
        });
        let (Some(entry), Some(index)) = (entry, index) else {
            return Err(D::Error::custom(
                "a handle can only be received as what it was sent as",
            ));
        };
        let slot = received.fds.get_mut(entry.fd);
        let slot = slot.ok_or_else(|| D::Error::custom("a handle is missing"))?;
        use_it(entry, index, slot)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Array, Barrier, BoundedSemaphore, Condition, Connection, Event,
        JoinableQueue, Lock, Queue, RLock, RawArray, RawValue, Semaphore,
        SimpleQueue, Value, pipe,
    };

    /// Whether what was written arrives as a `T`.
    fn arrives_as<T: serde::de::DeserializeOwned>(
        write: &dyn Fn() -> Vec<u8>,
    ) -> bool {
        let (bytes, handles) = collect(write);
        receive(handles, || postcard::from_bytes::<T>(&bytes)).is_ok()
    }

    fn bytes(value: &impl Serialize) -> Vec<u8> {
        postcard::to_stdvec(value).unwrap()
    }

    /// For each handle: its name, what writes it, and what reads it.
    macro_rules! handles {
        ($($name:literal: $t:ty = $value:expr;)*) => {
            vec![$((
                $name,
                {
                    let value: $t = $value;
                    Box::new(move || bytes(&value)) as Box<dyn Fn() -> Vec<u8>>
                },
                arrives_as::<$t> as fn(&dyn Fn() -> Vec<u8>) -> bool,
            )),*]
        };
    }

    #[test]
    fn a_handle_arrives_only_as_what_it_was_sent_as() {
        let handles = handles! {
            "Lock": Lock = Lock::new().unwrap();
            "RLock": RLock = RLock::new().unwrap();
            "Semaphore": Semaphore = Semaphore::new(1).unwrap();
            "BoundedSemaphore": BoundedSemaphore = BoundedSemaphore::new(1).unwrap();
            "Condition": Condition = Condition::new().unwrap();
            "Event": Event = Event::new().unwrap();
            "Barrier": Barrier = Barrier::new(1).unwrap();
            "Value": Value<u64> = Value::new(1).unwrap();
            "Value of another size": Value<u8> = Value::new(1).unwrap();
            "RawValue": RawValue<u64> = RawValue::new(1).unwrap();
            "Array": Array<u64> = Array::new([1]).unwrap();
            "RawArray": RawArray<u64> = RawArray::new([1]).unwrap();
            "Queue": Queue<u64> = Queue::new(0).unwrap();
            "JoinableQueue": JoinableQueue<u64> = JoinableQueue::new(0).unwrap();
            "SimpleQueue": SimpleQueue<u64> = SimpleQueue::new().unwrap();
            "Connection": Connection = pipe(true).unwrap().0;
        };
        for (sent, write, _) in &handles {
            for (received, _, arrives) in &handles {
                assert_eq!(arrives(write), sent == received, "{sent} as {received}");
            }
        }
    }
}
