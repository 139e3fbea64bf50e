//! Removes what a killed process left in the shared-memory directory.
//!
//! A process that makes named blocks has a guardian: a process that sleeps until its
//! owner ends, however it ends, removes the blocks that are in their common register
//! then, and ends itself. (Python has its `resource_tracker` for that.) The register is
//! shared memory, so that an entry costs no system call.
//!
//! Every block has a name that no other has, ever. A name that the user gave is a
//! second one, a link. So there is no moment at which the guardian could take a
//! stranger's block of the same name for its owner's: it compares the two.
#![allow(
    unsafe_code,
    reason = "forks, and may call nothing but the system after it"
)]

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::unistd::{Pid, getpid};

use super::random;
use super::registry;
use super::segment::{Shared, shareable};
use super::wait::{self, End, Then};
use crate::error::Error;

/// Where Linux keeps named blocks.
pub(crate) const DIRECTORY: &str = "/dev/shm/";

/// The longest name of a block, in bytes.
pub(crate) const LONGEST_NAME: usize = (WORDS - 1) * size_of::<u64>() - 1;

const ENTRIES: usize = 255;
const WORDS: usize = 32;

shareable! {
    /// Each entry is the block's own number, 0 where the entry is free, and the name
    /// that the user gave it, ending in zeroes.
    struct Register {
        entries: [[AtomicU64; WORDS]; ENTRIES],
    }
}

/// What the calling process knows of its blocks. A forked child starts anew.
struct ResourceTracker {
    /// Whose it is: see [`registry::generation`].
    generation: u32,
    /// The number of the next block, random at first.
    next: u64,
    /// Each with its guardian; one more when they are full.
    registers: Vec<Shared<Register>>,
}

static TRACKER: Mutex<Option<ResourceTracker>> = Mutex::new(None);

/// A block in the register, until dropped: after the block was removed.
#[derive(Debug)]
pub(crate) struct Entry {
    register: Shared<Register>,
    index: usize,
    /// In a forked child it is not the child's to strike out.
    generation: u32,
    number: u64,
}

impl Entry {
    /// Puts a block into the register, before it is made, with a number of its own.
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let mut office = TRACKER.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = registry::generation();
        if office
            .as_ref()
            .is_some_and(|office| office.generation != generation)
        {
            *office = None;
        }
        let office = office.get_or_insert_with(|| {
            let mut next = [0; size_of::<u64>()];
            next.copy_from_slice(&random::bytes()[..size_of::<u64>()]);
            ResourceTracker {
                generation,
                next: u64::from_ne_bytes(next),
                registers: Vec::new(),
            }
        });
        let number = office.next.max(1);
        office.next = number.wrapping_add(1);
        let free = office.registers.iter().find_map(|register| {
            let mut entries = register.entries.iter();
            let free = entries.position(|e| e[0].load(Ordering::Relaxed) == 0)?;
            Some((register.clone(), free))
        });
        let (register, index) = if let Some(free) = free {
            free
        } else {
            let register = Shared::<Register>::zeroed(0)?;
            start(&register)
                .map_err(Error::system("post a guardian for shared memory"))?;
            office.registers.push(register.clone());
            (register, 0)
        };
        let [first, rest @ ..] = &register.entries[index];
        let mut chunks = name.as_bytes().chunks(size_of::<u64>());
        for word in rest {
            let mut bytes = [0; size_of::<u64>()];
            let chunk = chunks.next().unwrap_or_default();
            bytes[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
        // Last: from here on the entry is one.
        first.store(number, Ordering::Release);
        Ok(Self {
            register,
            index,
            generation,
            number,
        })
    }

    /// Whether the calling process made it, and no fork has come between.
    pub(crate) fn is_mine(&self) -> bool {
        self.generation == registry::generation()
    }

    /// The name that its block has and no other.
    pub(crate) fn own_name(&self) -> String {
        format!("{PREFIX}{:016x}", self.number)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.is_mine() {
            self.register.entries[self.index][0].store(0, Ordering::Release);
        }
    }
}

/// The file of the block with this number, with a zero at its end.
fn file_of(number: u64) -> [u8; 64] {
    let mut file = [0; 64];
    let start = DIRECTORY.len() + PREFIX.len();
    file[..DIRECTORY.len()].copy_from_slice(DIRECTORY.as_bytes());
    file[DIRECTORY.len()..start].copy_from_slice(PREFIX.as_bytes());
    for (digit, place) in file[start..start + 16].iter_mut().enumerate() {
        let value = (number >> (60 - 4 * digit)) & 0xf;
        *place = b"0123456789abcdef"[value as usize];
    }
    file
}

const PREFIX: &str = "mp-";

/// Starts the guardian as a grandchild, which no wait of this program's will meet.
fn start(register: &Shared<Register>) -> io::Result<()> {
    let owner = wait::sentinel(getpid())?;
    // SAFETY: the child, and its child, call nothing but the system (and run handlers
    // that do no more), so that locks of vanished threads are nothing to them.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // Ctrl+C and its kin are not meant for the guardian: it goes when its owner
            // does. Here, or one that comes while it is on its way would find it.
            // SAFETY: takes nothing and touches no memory of this process. It cannot
            // fail: a new process leads no group.
            unsafe { libc::setsid() };
            // SAFETY: as above.
            match unsafe { libc::fork() } {
                -1 => exit(1),
                0 => guard(&owner, register),
                _ => exit(0),
            }
        }
        child => {
            let child = Pid::from_raw(child);
            wait::wait_for(child)?;
            match wait::end_of(child, Then::Reap)? {
                Some(End::Exited(0) | End::Unknown) => Ok(()),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        }
    }
}

fn exit(code: libc::c_int) -> ! {
    // SAFETY: takes a number and touches no memory of this process.
    unsafe { libc::_exit(code) }
}

/// The guardian's life. It keeps nothing of its owner's but the register.
fn guard(owner: &OwnedFd, register: &Register) -> ! {
    // SAFETY: each of these takes numbers, or text that lives as long as the program;
    // none touches memory of this process. Their failures change nothing.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"shm-guardian".as_ptr()) };
    // SAFETY: as above.
    unsafe { libc::chdir(c"/".as_ptr()) };
    // SAFETY: as above. Whatever the owner had open is not to stay open through it.
    unsafe { libc::dup2(owner.as_raw_fd(), 0) };
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0) };
    let mut end = libc::pollfd {
        fd: 0,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: `end` is one entry and outlives the call. The end stays readable: it
    // cannot be missed between two calls.
    while unsafe { libc::poll(&raw mut end, 1, -1) } < 1 {}
    for entry in &register.entries {
        clean_up(entry);
    }
    exit(0)
}

/// Removes the block of an entry, if there is one. Allocates nothing.
fn clean_up([number, name @ ..]: &[AtomicU64; WORDS]) {
    let number = number.load(Ordering::Acquire);
    if number == 0 {
        return;
    }
    let mut link = [0; DIRECTORY.len() + WORDS * size_of::<u64>()];
    link[..DIRECTORY.len()].copy_from_slice(DIRECTORY.as_bytes());
    let places = link[DIRECTORY.len()..].chunks_exact_mut(size_of::<u64>());
    for (place, word) in places.zip(name) {
        place.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
    let file = file_of(number);
    let (Ok(file), Ok(link)) = (
        CStr::from_bytes_until_nul(&file),
        CStr::from_bytes_until_nul(&link),
    ) else {
        return;
    };
    let identity = identity_of(file);
    if identity.is_some() && identity == identity_of(link) {
        unlink(link);
    }
    unlink(file);
}

fn unlink(file: &CStr) {
    // SAFETY: a text that outlives the call. If the file is gone there is no more to do.
    unsafe { libc::unlink(file.as_ptr()) };
}

/// What tells this file from any other.
fn identity_of(file: &CStr) -> Option<(libc::dev_t, libc::ino_t)> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a text and a place for the answer that outlive the call.
    if unsafe { libc::stat(file.as_ptr(), status.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call has filled it in.
    let status = unsafe { status.assume_init() };
    Some((status.st_dev, status.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_that_of_the_name() {
        let number = 0x0123_4567_89ab_cdef;
        let file = file_of(number);
        let file = CStr::from_bytes_until_nul(&file).unwrap().to_str().unwrap();
        assert_eq!(file, format!("{DIRECTORY}{PREFIX}{number:016x}"));
    }
}
