//! Handing descriptors to a spawned process along with its serialised argument.
//!
//! A handle (a lock, a queue, a pipe's end) is shared memory or a pipe, which a descriptor
//! stands for. It serialises as the position of that descriptor in a list that travels
//! beside the bytes. The spawning side:
//!
//! ```text
//! let (bytes, fds) = handover::collect(|| postcard::to_stdvec(&argument));
//! // fds: Vec<Handed>, duplicates, close-on-exec; after the fork, and before the
//! // exec, the child places them where the fresh program expects them.
//! ```
//!
//! The fresh program, once, at the top of `main`:
//!
//! ```text
//! registry::join_registry(registry_fd)?;       // see there: never duplicate that one
//! let argument = handover::receive(fds, || postcard::from_bytes(&bytes));
//! ```
//!
//! A handle's `Serialize` calls [`give`] and serialises the position, its
//! `Deserialize` reads the position and calls [`take`]. Outside of the two scopes
//! both are refused with a sentence: a lock written into a file or a message would
//! name a descriptor that the reader does not have.
//!
//! The bytes are the program's own, so a type may write an array and read a lock. That
//! must not give safe code a lock on the array's memory: each descriptor travels with
//! the kind of handle it was part of, in the list and not in the bytes, and is received
//! as that kind alone. A handle states its kind by [`handle`] or [`as_kind`].

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sys::descriptor;

/// A descriptor on its way to a spawned process.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) fd: OwnedFd,
    /// The handle it is part of, and that handle's own part: `Condition/RLock`.
    pub(crate) kind: String,
}

impl Handed {
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            fd: descriptor::duplicate(&self.fd)?,
            kind: self.kind.clone(),
        })
    }
}

/// One that is handed on: from a pool's parent to its supervisor, for its workers.
impl Serialize for Handed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Given(self.fd.as_fd()), &self.kind).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Handed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Taken(fd), kind) = Deserialize::deserialize(deserializer)?;
        Ok(Self { fd, kind })
    }
}

thread_local! {
    /// The descriptors of the argument that this thread is serialising.
    static GIVEN: RefCell<Option<Vec<Handed>>> = const { RefCell::new(None) };
    /// The descriptors of the argument that this thread is deserialising; each can
    /// be taken once.
    static RECEIVED: RefCell<Option<Vec<Option<Handed>>>> =
        const { RefCell::new(None) };
    /// The handles that this thread is serialising or deserialising, the outermost
    /// first.
    static KIND: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Runs `serialise` and collects the descriptors of the handles it meets.
pub(crate) fn collect<R>(serialise: impl FnOnce() -> R) -> (R, Vec<Handed>) {
    let outer = GIVEN.replace(Some(Vec::new()));
    let result = serialise();
    let given = GIVEN.replace(outer).unwrap_or_default();
    (result, given)
}

/// Runs `deserialise` so that the handles it meets find these descriptors. Those that
/// are not taken are closed.
pub(crate) fn receive<R>(fds: Vec<Handed>, deserialise: impl FnOnce() -> R) -> R {
    let fds = fds.into_iter().map(Some).collect();
    let outer = RECEIVED.replace(Some(fds));
    let result = deserialise();
    RECEIVED.replace(outer);
    result
}

/// Runs `serde`, in which descriptors are given or taken as part of a handle of this
/// kind.
pub(crate) fn as_kind<R>(kind: &'static str, serde: impl FnOnce() -> R) -> R {
    /// Also leaves the kind if the other side of `serde`, which may be the program's
    /// own, panics.
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            KIND.with_borrow_mut(Vec::pop);
        }
    }
    KIND.with_borrow_mut(|kinds| kinds.push(kind));
    let _inside = Inside;
    serde()
}

fn current_kind() -> String {
    KIND.with_borrow(|kinds| kinds.join("/"))
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

/// Serialises a descriptor: for a handle's `Serialize`.
pub(crate) fn give<S: Serializer>(
    fd: BorrowedFd<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let position = GIVEN.with_borrow_mut(|given| {
        let Some(given) = given else {
            return Err(S::Error::custom(
                "a lock, queue or pipe can only be sent as the argument of a \
                 process that is being spawned",
            ));
        };
        given.push(Handed {
            fd: descriptor::duplicate(fd).map_err(S::Error::custom)?,
            kind: current_kind(),
        });
        Ok(given.len() - 1)
    })?;
    position.serialize(serializer)
}

/// Deserialises a descriptor: for a handle's `Deserialize`.
pub(crate) fn take<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<OwnedFd, D::Error> {
    let position = usize::deserialize(deserializer)?;
    let handed = RECEIVED
        .with_borrow_mut(|received| received.as_mut()?.get_mut(position)?.take())
        .ok_or_else(|| {
            D::Error::custom(
                "a lock, queue or pipe can only be received as the argument that a \
                 spawned process starts with",
            )
        })?;
    let expected = current_kind();
    if handed.kind != expected {
        let sent = handed.kind;
        return Err(D::Error::custom(format_args!(
            "what was sent as {sent} cannot be received as {expected}: receive the \
             types that were sent, in their order"
        )));
    }
    Ok(handed.fd)
}

/// A descriptor as part of a handle that has more: it serialises by [`give`].
pub(crate) struct Given<'a>(pub(crate) BorrowedFd<'a>);

impl Serialize for Given<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        give(self.0, serializer)
    }
}

/// A [`Given`] at the other side: it deserialises by [`take`].
pub(crate) struct Taken(pub(crate) OwnedFd);

impl<'de> Deserialize<'de> for Taken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Array, Barrier, BoundedSemaphore, Condition, Connection, Event,
        JoinableQueue, Lock, Queue, RLock, RawArray, RawValue, Semaphore,
        SimpleQueue, Value, codec, pipe,
    };

    /// Whether what was written arrives as a `T`.
    fn arrives_as<T: serde::de::DeserializeOwned>(
        write: &dyn Fn() -> Vec<u8>,
    ) -> bool {
        let (bytes, fds) = collect(write);
        receive(fds, || postcard::from_bytes::<T>(&bytes)).is_ok()
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

    #[test]
    fn the_refusal_names_what_was_sent_and_what_was_expected() {
        let lock = Lock::new().unwrap();
        let (bytes, fds) = collect(|| bytes(&lock));
        let refused = receive(fds, || codec::decode_once::<Event>(&bytes));
        let sentence = refused.unwrap_err().to_string();
        assert!(
            sentence.contains("what was sent as Lock cannot be received as Event"),
            "{sentence}"
        );
    }
}
