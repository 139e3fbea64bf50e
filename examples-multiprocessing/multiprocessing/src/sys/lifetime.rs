//! A lock that a process holds for as long as it lives, whatever it does to its descriptors.
#![allow(unsafe_code, reason = "maps memory that nobody looks at")]

use std::ffi::{CStr, CString};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc::{self, c_void};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};
use nix::sys::stat::Mode;

use super::descriptor::above_standard;
use super::segment::PAGE;

/// An open file description of its own, kept open by a mapping.
///
/// A lock of an [open file description](https://man7.org/linux/man-pages/man2/F_OFD_SETLK.2const.html)
/// lasts as long as that. The mapping keeps it open although its descriptor is closed, so
/// that nothing that the process does to descriptors ends it; a forked child does not
/// inherit the mapping; and the end of the process, however it ends, unmaps it.
pub(crate) struct Lifetime {
    page: NonNull<c_void>,
}

// SAFETY: the mapping belongs to the process, not to a thread of it.
unsafe impl Send for Lifetime {}

impl Lifetime {
    /// Takes the first of these bytes that is free. `None` if none is. The file must have
    /// been [opened again](open_again) for this.
    pub(crate) fn hold(
        file: OwnedFd,
        mut bytes: impl Iterator<Item = u32>,
    ) -> io::Result<Option<(Self, u32)>> {
        let Some(byte) = bytes.find(|&byte| lock(&file, byte).is_ok()) else {
            return Ok(None);
        };
        let size = NonZeroUsize::new(PAGE).unwrap_or(NonZeroUsize::MIN);
        // SAFETY: the kernel picks the address, so nothing is mapped over; and nobody
        // reads or writes there.
        let page = unsafe {
            let (none, shared) = (ProtFlags::PROT_NONE, MapFlags::MAP_SHARED);
            mmap(None, size, none, shared, &file, 0)
        }?;
        let held = Self { page };
        // SAFETY: the page was just mapped; the advice only concerns forked children.
        unsafe { madvise(page, PAGE, MmapAdvise::MADV_DONTFORK) }?;
        Ok(Some((held, byte)))
    }

    /// Holds the lock until the process ends.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Lifetime {
    fn drop(&mut self) {
        // SAFETY: mapped by `hold` with this length, and this was its only owner.
        let unmapped = unsafe { munmap(self.page, PAGE) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// Where the file of this descriptor can be opened once more: the only way to a second
/// description of a file that has no name.
pub(crate) fn path(fd: BorrowedFd<'_>) -> io::Result<CString> {
    Ok(CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd()))?)
}

/// Opens the file of this [`path`] once more.
pub(crate) fn open_again(path: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
    above_standard(open(path, flags, Mode::empty())?)
}

fn lock(file: &OwnedFd, byte: u32) -> nix::Result<()> {
    let lock = write_lock(byte, libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock)).map(drop)
}

/// A lock on one byte of a file.
pub(crate) fn write_lock(byte: u32, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte.into(),
        l_len: 1,
        l_pid: 0,
    }
}
