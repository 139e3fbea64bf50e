//! Who of the family is alive.
//!
//! Related processes share one table, the census. Who first needs an identity takes a
//! slot of it by a [record lock](https://man7.org/linux/man-pages/man2/F_SETLK.2const.html)
//! on one byte of the table's file: the kernel gives that lock up when the process
//! ends, however it ends; a forked child does not inherit it; and no later process
//! that happens to get the same process id is mistaken for it.
//!
//! The one trap: closing *any* descriptor of that file gives up the locks of the
//! closing process. So nobody duplicates it, and [`descriptor`] lends it only to be left
//! open across an exec.
#![allow(unsafe_code, reason = "pthread_atfork has no safe wrapper")]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::error::Error;
use crate::sys::segment::{Shared, shareable};

/// A process of the family: 31 bits, never 0, and not used again before two thousand
/// million processes have come after it.
///
/// The low bits are the slot in the census, the others count its owners.
pub(crate) type RegistryId = u32;

/// As many slots as the low bits of an id can name. Slot 0 is nobody's.
const SLOTS: u32 = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 12;
const MEMBER_BITS: u32 = 31;

shareable! {
    struct Registry {
        /// Where the next process looks for a free slot. It moves on with each, so
        /// that a slot rests for as long as there are others.
        next: AtomicU32,
        /// Numbers those who found no slot.
        unregistered: AtomicU32,
        /// The id of the slot's owner, which outlives it.
        owners: [AtomicU32; SLOTS as usize],
    }
}

/// Made before the family's first common object, and so inherited by whoever can have
/// that object.
static REGISTRY: OnceLock<Shared<Registry>> = OnceLock::new();

/// This process, once it was asked for: what makes taking a lock one instruction. A
/// forked child starts with 0 again.
static ME: AtomicU32 = AtomicU32::new(0);

/// Makes sure that there is a census. Every object that asks who is alive calls this
/// when it is made, so that whoever inherits the object inherits the census too.
pub(crate) fn ensure_registry() -> Result<(), Error> {
    if REGISTRY.get().is_none() {
        // Where another thread was faster, its census is as good.
        let _second = settle(Shared::zeroed(0)?);
    }
    Ok(())
}

/// The census's descriptor, for a child that is being spawned: it is to be left open
/// across the exec under its number (or a number that the *child* copies it to), never
/// duplicated and closed in this process.
pub(crate) fn descriptor() -> Result<BorrowedFd<'static>, Error> {
    ensure_registry()?;
    let census = REGISTRY.get().ok_or_else(|| Error::System {
        doing: "find the family's census",
        source: io::ErrorKind::NotFound.into(),
    })?;
    Ok(census.as_fd())
}

/// In a spawned child: takes the parent's census for its own.
///
/// # Errors
///
/// The child has founded a family of its own already. In two families no lock would
/// exclude anybody: each would take the other's members for dead.
pub(crate) fn join_registry(census: OwnedFd) -> Result<(), Error> {
    settle(Shared::from_fd(census)?).map_err(|_| Error::System {
        doing: "join the family of the process that started this one",
        source: io::Error::other(
            "something was shared already: call freeze_support first in main",
        ),
    })
}

/// The first census stays, and a second one comes back. Its drop is harmless: it is
/// another file.
fn settle(census: Shared<Registry>) -> Result<(), Shared<Registry>> {
    watch_forks();
    REGISTRY.set(census)
}

/// How many forks lie between the first process of this program and the calling one:
/// what tells a forked child from its parent without a system call.
pub(crate) fn generation() -> u32 {
    watch_forks();
    GENERATION.load(Ordering::Relaxed)
}

static GENERATION: AtomicU32 = AtomicU32::new(0);

fn watch_forks() {
    extern "C" fn in_child() {
        ME.store(0, Ordering::Relaxed);
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    static WATCHED: OnceLock<()> = OnceLock::new();
    WATCHED.get_or_init(|| {
        // SAFETY: the handler is a function of this program, and what it does in the
        // forked child, two stores, needs no lock that a vanished thread might hold.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// This process's id. It keeps it until it ends.
#[inline]
pub(crate) fn me() -> RegistryId {
    // Acquire, and the lock words that ids go into are written with Release: who reads
    // an id there must find its owner in the census.
    match ME.load(Ordering::Acquire) {
        0 => register(),
        me => me,
    }
}

#[cold]
fn register() -> RegistryId {
    let claimed = claim();
    match ME.compare_exchange(0, claimed, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => claimed,
        Err(by_another_thread) => {
            if let Some(census) = REGISTRY.get() {
                let slot = slot_of(claimed);
                let _best_effort = set_lock(census, slot, libc::F_UNLCK);
            }
            by_another_thread
        }
    }
}

/// Takes a free slot. Who finds none (thousands of the family are alive, or the kernel
/// has no memory for one lock more) gets an id without a slot, which is always taken
/// for alive: everything works but the notice of its death.
fn claim() -> RegistryId {
    let Some(census) = REGISTRY.get() else {
        return id_of(0, 1);
    };
    for _ in 1..SLOTS {
        let turn = census.next.fetch_add(1, Ordering::Relaxed);
        let slot = 1 + turn % (SLOTS - 1);
        if set_lock(census, slot, libc::F_WRLCK).is_ok() {
            let owner = &census.owners[slot as usize];
            let before = owner.load(Ordering::Relaxed) >> SLOT_BITS;
            let me = id_of(slot, before.wrapping_add(1));
            owner.store(me, Ordering::Release);
            return me;
        }
    }
    id_of(
        0,
        census
            .unregistered
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1),
    )
}

fn id_of(slot: u32, count: u32) -> RegistryId {
    const COUNTS: u32 = (1 << (MEMBER_BITS - SLOT_BITS)) - 1;
    // 1 to COUNTS: never 0, so that no id is 0.
    let count = count.wrapping_sub(1) % COUNTS + 1;
    count << SLOT_BITS | slot
}

fn slot_of(id: RegistryId) -> u32 {
    id % SLOTS
}

/// Whether this process of the family is alive. One or no system call.
pub(crate) fn is_alive(id: RegistryId) -> bool {
    let slot = slot_of(id);
    if id == ME.load(Ordering::Relaxed) || slot == 0 {
        return true;
    }
    let Some(census) = REGISTRY.get() else {
        return true;
    };
    // The owner is read after the lock was seen held: a successor that takes the slot
    // in between has the lock before it has the name, and is found out next time.
    is_held(census, slot)
        && census.owners[slot as usize].load(Ordering::Acquire) == id
}

fn set_lock(
    census: &Shared<Registry>,
    slot: u32,
    kind: libc::c_int,
) -> nix::Result<()> {
    fcntl(census, FcntlArg::F_SETLK(&byte(slot, kind))).map(drop)
}

/// Whether another process holds the lock of this slot.
fn is_held(census: &Shared<Registry>, slot: u32) -> bool {
    let mut lock = byte(slot, libc::F_WRLCK);
    match fcntl(census, FcntlArg::F_GETLK(&mut lock)) {
        Ok(_) => libc::c_int::from(lock.l_type) != libc::F_UNLCK,
        // Nobody is declared dead for a question that could not be asked.
        Err(_) => true,
    }
}

/// A lock on the byte that stands for a slot.
fn byte(slot: u32, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: slot.into(),
        l_len: 1,
        l_pid: 0,
    }
}

/// The number of the calling thread within its process, never 0. A forked child's one
/// thread keeps the number it had.
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
    fn a_process_is_one_member_and_alive() {
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
    fn who_has_a_census_already_joins_no_other() {
        ensure_registry().unwrap();
        let other = Shared::<Registry>::zeroed(0).unwrap();
        let other = other.as_fd().try_clone_to_owned().unwrap();
        let refused = join_registry(other).unwrap_err().to_string();
        assert!(
            refused.ends_with("call freeze_support first in main"),
            "{refused}"
        );
    }

    #[test]
    fn threads_have_numbers_of_their_own() {
        let mine = thread();
        assert_eq!(mine, thread());
        assert_ne!(mine, std::thread::spawn(thread).join().unwrap());
    }
}
