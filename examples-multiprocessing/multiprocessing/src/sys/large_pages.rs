//! Pages of 2 MiB for memory that processes share.
//!
//! A forked child has none of its parent's entries for shared memory in its page table: it
//! pays for each page that it touches. With small pages, of 4 KiB, that takes longer than
//! to read what is in them.
//!
//! The system makes large pages of small ones where it is asked to, since Linux 6.1, unless
//! the machine's setting for shared memory is `deny`. An older one refuses. Then the pages
//! stay small, and nothing else changes.
#![allow(unsafe_code, reason = "nix does not have this advice")]

use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::segment::PAGE;

/// The length of a large page.
const LARGE_PAGE: usize = 1 << 21;
const WORDS: usize = LARGE_PAGE / size_of::<AtomicU64>();

/// Advice of [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html). The libc
/// crate has this one for a single C library.
const MADV_COLLAPSE: libc::c_int = 25;

/// How many large pages the system is asked for in one call. A call takes milliseconds on a
/// busy machine, and a process that is killed in it ends after it.
const AT_A_TIME: usize = 1 << 9;

/// An address at which this many bytes of a file can have large pages: the addresses that
/// the system chooses by itself are mostly not multiples of a large page's length. It is
/// free, or was when it was found. `None` if there are not that many addresses.
pub(super) fn address(len: usize) -> Option<NonZeroUsize> {
    let room = NonZeroUsize::new(len.checked_add(LARGE_PAGE)?)?;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
    // SAFETY: the kernel picks the address, so nothing is mapped over.
    let found =
        unsafe { mmap_anonymous(None, room, ProtFlags::PROT_NONE, flags) }.ok()?;
    // SAFETY: it was just mapped with this length, and nothing refers to it.
    unsafe { munmap(found, room.get()) }.ok()?;
    let address = found.as_ptr().addr();
    NonZeroUsize::new(address.checked_next_multiple_of(LARGE_PAGE)?)
}

/// Gives this memory, which is a mapping of a file in memory, large pages as far as it fills
/// them. It takes the space of all of them: call it before all of the memory is written.
///
/// # Errors
///
/// The system makes no large pages here, or no further ones. The other pages stay small.
pub(super) fn make(memory: &[AtomicU64]) -> nix::Result<()> {
    let (pages, _rest) = memory.as_chunks::<WORDS>();
    for pages in pages.chunks(AT_A_TIME) {
        // The system makes no large page where it finds no small one.
        let small = |page: &[_; WORDS]| {
            advise(
                &page[..PAGE / size_of::<AtomicU64>()],
                libc::MADV_POPULATE_WRITE,
            )
        };
        pages.iter().try_for_each(small)?;
        advise(pages, MADV_COLLAPSE)?;
    }
    Ok(())
}

fn advise<T>(memory: &[T], advice: libc::c_int) -> nix::Result<()> {
    let start = ptr::from_ref(memory).cast_mut().cast();
    // SAFETY: it is mapped, and the two kinds of advice above leave it as it is.
    let taken = unsafe { libc::madvise(start, size_of_val(memory), advice) };
    Errno::result(taken).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_large_pages_is_a_multiple_of_one() {
        for len in [1, LARGE_PAGE, 10 * LARGE_PAGE + 1] {
            let address = address(len).unwrap().get();
            assert!(address.is_multiple_of(LARGE_PAGE), "{address:x}");
        }
        assert_eq!(address(usize::MAX), None);
    }
}
