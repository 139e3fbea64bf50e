//! A process that outlives another one by a moment, to remove its files.
//!
//! It sleeps until its owner ends, however it ends, removes what stands in the list that
//! the two share then, and ends itself. The list is shared memory, so that an entry costs
//! no system call.
#![allow(
    unsafe_code,
    reason = "forks, and may call nothing but the system after it"
)]

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
#[cfg(feature = "managers")]
use std::os::fd::AsFd;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::unistd::{Pid, getpid};

use super::child::{self, End, Then};
#[cfg(feature = "managers")]
use super::descriptor::{above_standard, duplicate};
use super::segment::{Shared, shareable};

/// The directory in which Linux keeps named blocks of shared memory.
pub(crate) const DIRECTORY: &str = "/dev/shm/";

/// What the name of every block begins with; its number follows.
pub(crate) const PREFIX: &str = "mp-";

/// The longest name that the user can give to a block, in bytes.
pub(crate) const LONGEST_NAME: usize = (WORDS - 1) * size_of::<u64>() - 1;

const ENTRIES: usize = 255;
const WORDS: usize = 32;

shareable! {
    /// Each entry is the block's own number, 0 while the entry is free, and the name
    /// that the user gave it, ending in zeroes.
    pub(crate) struct List {
        entries: [[AtomicU64; WORDS]; ENTRIES],
    }
}

impl List {
    /// An entry that is free.
    pub(crate) fn free_entry(&self) -> Option<usize> {
        let mut entries = self.entries.iter();
        entries.position(|entry| entry[0].load(Ordering::Relaxed) == 0)
    }

    /// Writes a block into a free entry.
    pub(crate) fn enter(&self, index: usize, number: u64, name: &str) {
        let [first, rest @ ..] = &self.entries[index];
        let mut chunks = name.as_bytes().chunks(size_of::<u64>());
        for word in rest {
            let mut bytes = [0; size_of::<u64>()];
            let chunk = chunks.next().unwrap_or_default();
            bytes[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
        // Last: from here on the entry counts.
        first.store(number, Ordering::Release);
    }

    /// Makes an entry free, after its block was removed.
    pub(crate) fn strike_out(&self, index: usize) {
        self.entries[index][0].store(0, Ordering::Release);
    }
}

/// Starts a watcher of this process that removes what stands in a list.
pub(crate) fn start(list: &Shared<List>) -> io::Result<()> {
    start_with(|owner| {
        keep_only(&[owner.as_raw_fd()]);
        wait_for_any(&mut [readable(0)]);
        for entry in &list.entries {
            clean_up(entry);
        }
    })
}

/// A watcher that removes one file, unless this is dropped first in the process that
/// started it.
#[cfg(feature = "managers")]
#[derive(Debug)]
pub(crate) struct FileWatcher {
    /// What is written to it ends the watcher.
    cancel: OwnedFd,
    owner: Pid,
}

#[cfg(feature = "managers")]
impl FileWatcher {
    /// Watches over the file with this absolute path. `file` is open on it, and stays so
    /// in the watcher: as long as it is, no other file can get the same number.
    pub(crate) fn start(path: &CStr, file: impl AsFd) -> io::Result<Self> {
        let file = duplicate(file)?;
        let identity = identity_of(path).ok_or_else(io::Error::last_os_error)?;
        let (cancelled, cancel) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let cancelled = above_standard(cancelled)?;
        let cancel = above_standard(cancel)?;
        start_with(|owner| {
            let kept = [owner, &cancelled, &file].map(AsRawFd::as_raw_fd);
            keep_only(&kept);
            let mut ends = [readable(0), readable(1)];
            wait_for_any(&mut ends);
            let is_cancelled = ends[1].revents & libc::POLLIN != 0;
            // By now another server's file may have the name.
            if !is_cancelled && identity_of(path) == Some(identity) {
                unlink(path);
            }
        })?;
        let owner = getpid();
        Ok(Self { cancel, owner })
    }
}

#[cfg(feature = "managers")]
impl Drop for FileWatcher {
    fn drop(&mut self) {
        if self.owner == getpid() {
            // It fails if the watcher has been killed.
            nix::unistd::write(&self.cancel, b"x").ok();
        }
    }
}

/// Starts a watcher of this process, as a grandchild: no wait of this program for its
/// children meets it. It does what `watch` does, which gets a descriptor that polls
/// readable once this process has ended, and must call nothing but the system.
fn start_with(watch: impl FnOnce(&OwnedFd)) -> io::Result<()> {
    let owner = child::sentinel(getpid())?;
    // SAFETY: the child, and its child, call nothing but the system (and run handlers
    // that do no more), so that it does not matter what locks vanished threads hold.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // Ctrl+C and its kin are not meant for the watcher: it ends when its owner
            // does. A session of its own from the first moment on keeps them away.
            // SAFETY: takes nothing and touches no memory of this process. It cannot
            // fail: a new process leads no group.
            unsafe { libc::setsid() };
            // SAFETY: as above.
            match unsafe { libc::fork() } {
                -1 => exit(1),
                0 => {
                    watch(&owner);
                    exit(0)
                }
                _ => exit(0),
            }
        }
        child => {
            let child = Pid::from_raw(child);
            child::wait_for(child)?;
            match child::end_of(child, Then::Reap)? {
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

/// Leaves a watcher nothing of its owner's but these descriptors, as 0, 1 and so on.
fn keep_only(descriptors: &[libc::c_int]) {
    // SAFETY: each of these takes numbers, or text that lives as long as the program;
    // none touches memory of this process. Their failures change nothing.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"mp-watcher".as_ptr()) };
    // SAFETY: as above.
    unsafe { libc::chdir(c"/".as_ptr()) };
    // All of them are 3 or more: no copy takes the place of a later one.
    for (place, descriptor) in (0..).zip(descriptors) {
        // SAFETY: as above.
        unsafe { libc::dup2(*descriptor, place) };
    }
    let rest = descriptors.len() as libc::c_uint;
    // SAFETY: as above. What the owner had open must not stay open through the watcher.
    unsafe { libc::syscall(libc::SYS_close_range, rest, libc::c_uint::MAX, 0) };
}

fn readable(fd: libc::c_int) -> libc::pollfd {
    libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }
}

/// Waits until one of them is readable. The owner's end stays readable: it cannot be
/// missed between two calls.
fn wait_for_any(ends: &mut [libc::pollfd]) {
    let count = ends.len() as libc::nfds_t;
    // SAFETY: there are as many entries, and they outlive the call.
    while unsafe { libc::poll(ends.as_mut_ptr(), count, -1) } < 1 {}
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

fn unlink(file: &CStr) {
    // SAFETY: a text that outlives the call. If the file is gone there is no more to do.
    unsafe { libc::unlink(file.as_ptr()) };
}

/// What distinguishes this file from any other.
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
