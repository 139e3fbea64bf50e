//! Which of the related processes are alive.
//!
//! Related processes share one table. A process that needs an identity takes a slot of it,
//! by a lock on one byte of the table's file: the kernel gives that lock up when the
//! process ends, however it ends; a forked child does not inherit it; no later process that
//! happens to get the same process id is mistaken for it; and it holds across namespaces.
//!
//! A process never loses its lock while it lives, whatever it does to its descriptors (a
//! daemon closes them all): see [`Lifetime`]. But to ask for another's lock takes a
//! descriptor of the table. So before it is used, it is compared with the table; a process
//! that has closed it asks for the other's process id instead, and takes for alive whom it
//! cannot ask for.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::{fs, iter};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getpid, getppid};

use crate::error::Error;
use crate::sys::fork;
use crate::sys::lifetime::{self, Lifetime, write_lock};
use crate::sys::segment::{Shared, shareable};

/// A related process: 31 bits, never 0, and not used again before two thousand million
/// processes have come after it.
///
/// The low bits are the slot in the table, the others count the slot's owners.
pub(crate) type RegistryId = u32;

/// The number of slots, which the low bits of an id can name. Slot 0 is never taken.
const SLOTS: u32 = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 12;
const ID_BITS: u32 = 31;

shareable! {
    struct Registry {
        /// Where the next process searches for a free slot. It advances with each, so that
        /// a slot is left unused for as long as there are others.
        next: AtomicU32,
        /// Numbers the processes that found no slot.
        unregistered: AtomicU32,
        /// The id of the slot's owner, which stays after its end.
        owners: [AtomicU32; SLOTS as usize],
        /// The owner's process id in the lower half, and in the upper one the namespace
        /// in which it has that: 0 if that is not known.
        pids: [AtomicU64; SLOTS as usize],
        /// The last owner of the slot that ended in good order.
        ended_well: [AtomicU32; SLOTS as usize],
    }
}

/// Made before the first common object, and so inherited by every process that can have
/// that object.
static REGISTRY: OnceLock<Table> = OnceLock::new();

struct Table {
    registry: Shared<Registry>,
    /// Where its file can be opened. A forked child needs that first of all, and would have
    /// to map a good deal of code to make it.
    path: CString,
}

impl Table {
    /// Opens its file once more. Another file may have come to that path meanwhile; with a
    /// lock on that one, the others would take this process for dead.
    fn open_again(&self, path: &CStr) -> io::Result<OwnedFd> {
        let file = lifetime::open_again(path)?;
        if self.registry.has_this_file(file.as_fd()) {
            Ok(file)
        } else {
            Err(io::Error::other("it is another file"))
        }
    }
}

impl Deref for Table {
    type Target = Shared<Registry>;

    fn deref(&self) -> &Shared<Registry> {
        &self.registry
    }
}

/// This process's id, once it was asked for: it makes taking a lock one instruction. It
/// is 0 again in a forked child.
static ME: AtomicU32 = AtomicU32::new(0);

/// Makes sure that there is a registry. Every object that asks which processes are alive
/// calls this when it is made, so that every process that inherits the object inherits the
/// registry, too.
pub(crate) fn ensure_registry() -> Result<(), Error> {
    if REGISTRY.get().is_none() {
        // If another thread was faster, its registry is as good.
        settle(Shared::alone()?)?;
        // Forked children inherit the answer.
        namespace();
    }
    Ok(())
}

/// The registry's descriptor, for a child that is being spawned.
pub(crate) fn descriptor() -> Result<BorrowedFd<'static>, Error> {
    ensure_registry()?;
    let registry = REGISTRY.get().filter(|registry| registry.has_its_file());
    let registry = registry.ok_or_else(|| Error::System {
        doing: "find the table of related processes",
        source: io::Error::other(
            "this process has closed its descriptor: start processes before that",
        ),
    })?;
    Ok(registry.as_fd())
}

/// In a spawned child: takes the parent's registry for its own.
///
/// # Errors
///
/// The child has a registry of its own already. With two, no lock would exclude anybody:
/// each process would take those of the other registry for dead.
pub(crate) fn join_registry(registry: OwnedFd) -> Result<(), Error> {
    if settle(Shared::from_fd(registry)?)? {
        return Ok(());
    }
    Err(Error::System {
        doing: "join the relatives of the process that started this one",
        source: io::Error::other(
            "something was shared already: call freeze_support first in main",
        ),
    })
}

/// Makes this the registry unless there is one already. Returns whether it did.
fn settle(registry: Shared<Registry>) -> Result<bool, Error> {
    watch_forks();
    let path = lifetime::path(registry.as_fd());
    let path = path.map_err(Error::system("name the table of related processes"))?;
    Ok(REGISTRY.set(Table { registry, path }).is_ok())
}

/// The number of forks between the first process of this program and the calling one: it
/// distinguishes a forked child from its parent without a system call.
pub(crate) fn generation() -> u32 {
    watch_forks();
    GENERATION.load(Ordering::Relaxed)
}

static GENERATION: AtomicU32 = AtomicU32::new(0);

fn watch_forks() {
    fork::in_every_child(|| {
        ME.store(0, Ordering::Relaxed);
        GENERATION.fetch_add(1, Ordering::Relaxed);
        // A parent in another namespace has the number 0 here.
        if getppid().as_raw() == 0 {
            NAMESPACE.store(0, Ordering::Relaxed);
        }
    });
}

/// This process's id. It keeps it until it ends.
#[inline]
pub(crate) fn me() -> RegistryId {
    // Acquire, and the lock words that ids go into are written with Release: a process
    // that reads an id there must find its owner in the registry.
    match ME.load(Ordering::Acquire) {
        0 => register(),
        me => me,
    }
}

#[cold]
fn register() -> RegistryId {
    let (claimed, lifetime) = claim();
    match ME.compare_exchange(0, claimed, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            lifetime.into_iter().for_each(Lifetime::keep);
            claimed
        }
        // Its lock goes with `lifetime`.
        Err(by_another_thread) => by_another_thread,
    }
}

/// Takes a free slot. If none is free (thousands of related processes, or no kernel memory
/// for another lock), or the table's file cannot be opened once more, the process gets an id
/// without a slot. Such an id always counts as alive: everything works, except that its
/// death goes unnoticed.
fn claim() -> (RegistryId, Option<Lifetime>) {
    let Some(registry) = REGISTRY.get() else {
        return (id_of(0, 1), None);
    };
    let slots = iter::repeat_with(|| {
        let next = registry.next.fetch_add(1, Ordering::Relaxed);
        1 + next % (SLOTS - 1)
    });
    let mut slots = slots.take(SLOTS as usize - 1);
    let held = if registry.has_its_file() {
        let file = registry.open_again(&registry.path);
        match file.and_then(|file| Lifetime::hold(file, &mut slots)) {
            Ok(held) => held.map(|(lifetime, slot)| (Some(lifetime), slot)),
            // Without /proc there is only the lock that lasts until the process closes
            // any descriptor of the table.
            Err(_) => slots
                .find(|&slot| take_record_lock(registry, slot).is_ok())
                .map(|slot| (None, slot)),
        }
    } else {
        let path = path_by_parent(registry);
        let file = path.and_then(|path| registry.open_again(&path).ok());
        let held = file.and_then(|file| Lifetime::hold(file, &mut slots).ok()?);
        held.map(|(lifetime, slot)| (Some(lifetime), slot))
    };
    let Some((lifetime, slot)) = held else {
        let number = registry.unregistered.fetch_add(1, Ordering::Relaxed);
        return (id_of(0, number.wrapping_add(1)), None);
    };
    let owner = &registry.owners[slot as usize];
    let before = owner.load(Ordering::Relaxed) >> SLOT_BITS;
    let me = id_of(slot, before.wrapping_add(1));
    let pid = u64::from(getpid().as_raw().cast_unsigned());
    let pid = pid | u64::from(namespace().unwrap_or(0)) << 32;
    registry.pids[slot as usize].store(pid, Ordering::Relaxed);
    owner.store(me, Ordering::Release);
    (me, lifetime)
}

/// Where the table's file can be opened once more by a process that closed its descriptors
/// before it asked for an id, as a daemon does: among those of its parent.
fn path_by_parent(registry: &Shared<Registry>) -> Option<CString> {
    let open = fs::read_dir(format!("/proc/{}/fd", getppid())).ok()?;
    let mut paths = open.filter_map(|entry| Some(entry.ok()?.path()));
    let path = paths.find(|path| registry.is_file_at(path))?;
    CString::new(path.into_os_string().into_vec()).ok()
}

/// The number of the namespace in which this process has its process id, once it was asked
/// for. A forked child inherits it, unless it has another one.
static NAMESPACE: AtomicU32 = AtomicU32::new(0);

/// The number of the namespace in which this process has its process id.
fn namespace() -> Option<u32> {
    let known = NAMESPACE.load(Ordering::Relaxed);
    if known != 0 {
        return Some(known);
    }
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    let number = link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?;
    let number = number.parse().ok()?;
    NAMESPACE.store(number, Ordering::Relaxed);
    Some(number)
}

fn id_of(slot: u32, count: u32) -> RegistryId {
    const COUNTS: u32 = (1 << (ID_BITS - SLOT_BITS)) - 1;
    // 1 to COUNTS: never 0, so that no id is 0.
    let count = count.wrapping_sub(1) % COUNTS + 1;
    count << SLOT_BITS | slot
}

fn slot_of(id: RegistryId) -> u32 {
    id % SLOTS
}

/// Whether this related process is alive. At most a few system calls.
pub(crate) fn is_alive(id: RegistryId) -> bool {
    let slot = slot_of(id);
    if id == ME.load(Ordering::Relaxed) || slot == 0 {
        return true;
    }
    let Some(registry) = REGISTRY.get() else {
        return true;
    };
    // The owner is read after the lock was seen held: a successor that takes the slot
    // in between has the lock before it has the id, and is found out next time.
    is_held(registry, slot)
        && registry.owners[slot as usize].load(Ordering::Acquire) == id
}

/// Whether a related process that is not alive has ended in good order, by
/// [`end_in_good_order`].
pub(crate) fn has_ended_well(id: RegistryId) -> bool {
    let slot = slot_of(id) as usize;
    REGISTRY.get().is_some_and(|registry| {
        registry.ended_well[slot].load(Ordering::Acquire) == id
    })
}

/// Records that this process ends because it has done its work.
pub(crate) fn end_in_good_order() {
    let me = ME.load(Ordering::Acquire);
    if let Some(registry) = REGISTRY.get()
        && me != 0
    {
        registry.ended_well[slot_of(me) as usize].store(me, Ordering::Release);
    }
}

/// Whether another process holds the lock of this slot.
fn is_held(registry: &Shared<Registry>, slot: u32) -> bool {
    if registry.has_its_file() {
        let mut lock = write_lock(slot, libc::F_WRLCK);
        return match fcntl(registry, FcntlArg::F_GETLK(&mut lock)) {
            Ok(_) => libc::c_int::from(lock.l_type) != libc::F_UNLCK,
            // If the question cannot be asked, nobody is declared dead.
            Err(_) => true,
        };
    }
    let pid = registry.pids[slot as usize].load(Ordering::Relaxed);
    // Only in its own namespace is the id that of the same process.
    if namespace() != Some((pid >> 32) as u32) {
        return true;
    }
    kill(Pid::from_raw((pid as u32).cast_signed()), None) != Err(Errno::ESRCH)
}

fn take_record_lock(registry: &Shared<Registry>, slot: u32) -> nix::Result<()> {
    let lock = write_lock(slot, libc::F_WRLCK);
    fcntl(registry, FcntlArg::F_SETLK(&lock)).map(drop)
}

/// The number of the calling thread within its process, never 0. A forked child's one
/// thread keeps the number that it had.
pub(crate) fn thread() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    thread_local! {
        static NUMBER: Cell<u32> = const { Cell::new(0) };
    }
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        }
        number.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_never_zero_fits_31_bits_and_comes_again_last() {
        let most = (1 << 31) - 1;
        assert_eq!(id_of(SLOTS - 1, (1 << 19) - 1), most);
        assert_eq!(id_of(7, 1 << 19), id_of(7, 1));
        assert_ne!(id_of(0, 0), 0);
        assert_eq!(slot_of(id_of(7, 3)), 7);
    }

    #[test]
    fn a_process_has_one_id_and_is_alive() {
        ensure_registry().unwrap();
        assert_eq!(me(), me());
        assert_ne!(slot_of(me()), 0);
        assert!(is_alive(me()));
        assert!(!is_alive(id_of(4000, 9)), "a slot that nobody holds");
        assert!(
            !is_alive(id_of(slot_of(me()), 9)),
            "a former owner of this slot"
        );
    }

    #[test]
    fn joining_a_second_registry_is_an_error() {
        ensure_registry().unwrap();
        let other = Shared::<Registry>::alone().unwrap();
        let other = other.as_fd().try_clone_to_owned().unwrap();
        let refused = join_registry(other).unwrap_err().to_string();
        assert!(
            refused.ends_with("call freeze_support first in main"),
            "{refused}"
        );
    }

    #[test]
    fn another_file_at_the_path_of_the_registry_is_refused() {
        ensure_registry().unwrap();
        let registry = REGISTRY.get().unwrap();
        registry.open_again(&registry.path).unwrap();
        registry.open_again(c"/dev/null").unwrap_err();
    }

    #[test]
    fn threads_have_numbers_of_their_own() {
        let mine = thread();
        assert_eq!(mine, thread());
        assert_ne!(mine, std::thread::spawn(thread).join().unwrap());
    }
}
