//! Memory that related processes share: a mapping of an anonymous file.
//!
//! Nothing can leave it behind: the file has no name and goes with the last process
//! that has it. A forked child inherits the mapping; a spawned one is handed the
//! descriptor (see [`handover`](crate::handover)) and maps it anew, elsewhere.
#![allow(unsafe_code, reason = "maps memory and looks at it as a type")]

use std::fmt;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, align_of, size_of};
use std::num::NonZeroUsize;
use std::ops::{Deref, Range};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc::{dev_t, ino_t, off_t};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::descriptor::above_standard;
use crate::error::Error;
use crate::handover;

/// What may lie in shared memory.
///
/// # Safety
///
/// Every bit pattern is a value (zero bytes among them, and whatever another process
/// writes), there are no pointers or references in it and nothing to drop, every field
/// is an atomic, so that other processes may change it behind a shared reference, and
/// its alignment is at most a page.
pub unsafe trait Shareable: Send + Sync + 'static {}

// SAFETY: an atomic integer takes every bit pattern.
unsafe impl Shareable for AtomicU8 {}
// SAFETY: as above.
unsafe impl Shareable for AtomicU16 {}
// SAFETY: as above.
unsafe impl Shareable for AtomicU32 {}
// SAFETY: as above.
unsafe impl Shareable for AtomicU64 {}
// SAFETY: as above.
unsafe impl Shareable for AtomicUsize {}
// SAFETY: an array is nothing but its elements.
unsafe impl<T: Shareable, const N: usize> Shareable for [T; N] {}

/// Defines a struct that may lie in shared memory: each of its fields may.
macro_rules! shareable {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(<const $n:ident: usize>)? {
            $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        $vis struct $name $(<const $n: usize>)? {
            $($(#[$field_meta])* $field_vis $field: $type,)*
        }

        #[allow(unsafe_code, reason = "the bounds check what the trait asks for")]
        // SAFETY: the struct is nothing but its fields, which the bounds check.
        unsafe impl $(<const $n: usize>)? $crate::sys::segment::Shareable
            for $name $(<$n>)?
        where
            $($type: $crate::sys::segment::Shareable,)*
        {
        }
    };
}
pub(crate) use shareable;

/// What the smallest segment takes.
pub(crate) const PAGE: usize = 4096;

/// A word of a tail. Whoever reads and writes it orders that by other words. A model
/// check has a type of the same name that finds out where nothing does.
pub(crate) type Word = AtomicU64;

/// From this many bytes on it is worth asking how many there are.
const BIG: usize = 1 << 24;

/// How many bytes the machine can give without swapping, as far as it tells.
pub(crate) fn available_memory() -> usize {
    fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
            line.trim().strip_suffix(" kB")?.parse::<usize>().ok()
        })
        .map_or(usize::MAX, |kib| kib.saturating_mul(1024))
}

fn offset(bytes: usize) -> off_t {
    off_t::try_from(bytes).unwrap_or(off_t::MAX)
}

/// As much space is taken in one go: where a signal comes meanwhile the system gives
/// back what it took, and a process with a timer would never get a large piece.
const PIECE: usize = 1 << 20;

/// Makes sure that these bytes of the file can be written to. Where it fails, a part of
/// them may be taken, and goes with the file.
fn take_space(fd: &OwnedFd, start: usize, len: usize) -> nix::Result<()> {
    // The kernel would go on until it has to kill somebody.
    if len >= BIG && len > available_memory() {
        return Err(Errno::ENOMEM);
    }
    let flags = FallocateFlags::empty();
    let mut done = 0;
    while done < len {
        let piece = PIECE.min(len - done);
        match fallocate(fd, flags, offset(start + done), offset(piece)) {
            Ok(()) => done += piece,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What no process may do to the file of a segment: make it shorter, for then the memory
/// behind a mapping of it would be gone, and whoever reads it killed by SIGBUS.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_SEAL);

/// A file in memory of this length, sealed, of which no space is taken yet.
fn anonymous_file(len: NonZeroUsize) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = above_standard(memfd_create(c"multiprocessing", flags)?)?;
    ftruncate(&fd, offset(len.get()))?;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(fd)
}

/// A piece of shared memory, zero at first. A clone is the same memory.
#[derive(Clone)]
pub(crate) struct Segment(Arc<Mapping>);

struct Mapping {
    start: NonNull<u8>,
    len: NonZeroUsize,
    /// Kept so that a spawned child can be handed it, and more space be taken.
    fd: ManuallyDrop<OwnedFd>,
    /// The device and the inode of the file. A program that closes all its descriptors
    /// may open another file under the same number.
    file: (dev_t, ino_t),
}

// SAFETY: the mapping belongs to the process, not to a thread of it.
unsafe impl Send for Mapping {}
// SAFETY: all access goes through atomics.
unsafe impl Sync for Mapping {}

impl Segment {
    /// So many bytes (at least one is made), all zero.
    ///
    /// The space is taken here: a machine short of memory refuses it now, instead of
    /// killing whoever writes to it later.
    pub(crate) fn new(len: usize) -> Result<Self, Error> {
        const DOING: &str = "make a segment of shared memory";
        let len = NonZeroUsize::new(len).unwrap_or(NonZeroUsize::MIN);
        let fd = anonymous_file(len).map_err(Error::system(DOING))?;
        take_space(&fd, 0, len.get()).map_err(Error::system(DOING))?;
        Self::map(fd, len)
    }

    /// So many bytes, all zero, of which only the space of the first is taken. The
    /// others have addresses but no memory before [`take_space`](Self::take_space).
    fn sparse(len: usize, taken: usize) -> Result<Self, Error> {
        const DOING: &str = "make a segment of shared memory";
        let len = NonZeroUsize::new(len).unwrap_or(NonZeroUsize::MIN);
        let fd = anonymous_file(len).map_err(Error::system(DOING))?;
        take_space(&fd, 0, taken).map_err(Error::system(DOING))?;
        Self::map(fd, len)
    }

    /// Whether the descriptor is still that of this segment's file.
    pub(crate) fn has_its_file(&self) -> bool {
        self.0.has_its_file()
    }

    fn take_space(&self, start: usize, len: usize) -> Result<(), Error> {
        if !self.has_its_file() {
            return Err(Error::System {
                doing: "take more shared memory",
                source: std::io::Error::other(
                    "this process has closed the descriptor of that memory",
                ),
            });
        }
        take_space(&self.0.fd, start, len)
            .map_err(Error::system("take more shared memory"))
    }

    fn give_space_back(&self, start: usize, len: usize) {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE
            | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        // What cannot be given back now goes with the segment.
        if self.has_its_file() {
            fallocate(&*self.0.fd, flags, offset(start), offset(len)).ok();
        }
    }

    /// The segment behind a descriptor that was handed over.
    pub(crate) fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        const DOING: &str = "attach a segment of shared memory";
        let seals =
            fcntl(&fd, FcntlArg::F_GET_SEALS).map_err(Error::system(DOING))?;
        if !SealFlag::from_bits_retain(seals).contains(SEALS) {
            return Err(Error::System {
                doing: DOING,
                source: io::Error::other("it is not a segment of this library"),
            });
        }
        let status = fstat(&fd).map_err(Error::system(DOING))?;
        let len = usize::try_from(status.st_size)
            .ok()
            .and_then(NonZeroUsize::new);
        let len = len.ok_or_else(|| Error::System {
            doing: DOING,
            source: io::ErrorKind::UnexpectedEof.into(),
        })?;
        Self::map(fd, len)
    }

    fn map(fd: OwnedFd, len: NonZeroUsize) -> Result<Self, Error> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel picks the address, so nothing is mapped over. The file is
        // sealed against being made shorter, as both callers have seen to.
        let start =
            unsafe { mmap(None, len, protection, MapFlags::MAP_SHARED, &fd, 0) }
                .map_err(Error::system("map a segment of shared memory"))?;
        let status =
            fstat(&fd).map_err(Error::system("map a segment of shared memory"))?;
        Ok(Self(Arc::new(Mapping {
            start: start.cast(),
            len,
            fd: ManuallyDrop::new(fd),
            file: (status.st_dev, status.st_ino),
        })))
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.0.len.get()
    }

    /// The memory from this byte on, as many whole words as there are. The offset is
    /// a multiple of eight and within the segment.
    pub(crate) fn words(&self, offset: usize) -> &[AtomicU64] {
        assert!(offset.is_multiple_of(align_of::<AtomicU64>()));
        let len = self.len().strict_sub(offset) / size_of::<AtomicU64>();
        // SAFETY: the assertion and the subtraction keep it within the mapping.
        let start = unsafe { self.0.start.add(offset) };
        // SAFETY: aligned (a mapping starts at a page), `len` words long, mapped for
        // as long as `self` is borrowed, and any bits make an atomic.
        unsafe { slice::from_raw_parts(start.cast().as_ptr(), len) }
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl Mapping {
    fn has_its_file(&self) -> bool {
        let status = fstat(self.fd.as_fd());
        status.is_ok_and(|status| (status.st_dev, status.st_ino) == self.file)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // A descriptor that the program has closed must not be closed again: it may be
        // another file's by now.
        if self.has_its_file() {
            // SAFETY: it is not used after this.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
        // SAFETY: mapped by `map` with this length, and this was its only owner.
        let unmapped = unsafe { munmap(self.start.cast(), self.len.get()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A `T` at the start of a segment of its own; what follows it is the tail. A clone
/// is the same `T`.
pub(crate) struct Shared<T> {
    /// Into the segment: saves a step on the way of every operation.
    value: NonNull<T>,
    segment: Segment,
    owns: PhantomData<T>,
}

// SAFETY: a `Shareable` is `Send` and `Sync`, and the segment may be shared.
unsafe impl<T: Shareable> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Shareable> Sync for Shared<T> {}

impl<T: Shareable> Shared<T> {
    /// Puts a value into shared memory.
    pub(crate) fn new(value: T) -> Result<Self, Error> {
        Self::with_tail(value, 0)
    }

    /// Whether the descriptor is still that of this memory's file.
    pub(crate) fn has_its_file(&self) -> bool {
        self.segment.has_its_file()
    }

    /// Puts a value into shared memory, followed by `tail` zero bytes.
    pub(crate) fn with_tail(value: T, tail: usize) -> Result<Self, Error> {
        let shared = Self::zeroed(tail)?;
        // SAFETY: `at_start_of` made sure that the segment is long enough and aligned,
        // and nobody else has it yet.
        unsafe { shared.value.write(value) };
        Ok(shared)
    }

    /// A value of zero bytes, with so many more behind it.
    pub(crate) fn zeroed(tail: usize) -> Result<Self, Error> {
        let len = Self::TAIL_START.saturating_add(tail);
        Self::at_start_of(Segment::new(len)?)
    }

    /// Puts a value into shared memory, and behind it so many bytes of zeroes whose
    /// space is not taken yet: see [`take_space`](Self::take_space).
    pub(crate) fn sparse(value: T, tail: usize) -> Result<Self, Error> {
        let len = Self::TAIL_START.saturating_add(tail);
        let shared = Self::at_start_of(Segment::sparse(len, Self::TAIL_START)?)?;
        // SAFETY: `at_start_of` made sure that the segment is long enough and aligned,
        // and nobody else has it yet.
        unsafe { shared.value.write(value) };
        Ok(shared)
    }

    /// Takes the space of these bytes of a sparse tail, where it is not taken yet. No
    /// byte may be touched before.
    pub(crate) fn take_space(&self, bytes: Range<usize>) -> Result<(), Error> {
        let start = Self::TAIL_START + bytes.start;
        self.segment.take_space(start, bytes.len())
    }

    /// Gives the space of these bytes of a sparse tail back to the machine.
    pub(crate) fn give_space_back(&self, bytes: Range<usize>) {
        let start = Self::TAIL_START + bytes.start;
        self.segment.give_space_back(start, bytes.len());
    }

    /// Where the tail starts: behind the value, at a whole cache line.
    const TAIL_START: usize = size_of::<T>().next_multiple_of(64);

    /// The value at the start of a segment that was handed over.
    pub(crate) fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        Self::at_start_of(Segment::from_fd(fd)?)
    }

    fn at_start_of(segment: Segment) -> Result<Self, Error> {
        if segment.len() < Self::TAIL_START {
            return Err(Error::System {
                doing: "attach a segment of shared memory",
                source: io::ErrorKind::UnexpectedEof.into(),
            });
        }
        Ok(Self {
            value: segment.0.start.cast(),
            segment,
            owns: PhantomData,
        })
    }

    /// What lies behind the value, in whole words.
    pub(crate) fn tail(&self) -> &[Word] {
        self.segment.words(Self::TAIL_START)
    }

    /// What lies behind the value, as many as there is room for.
    #[inline]
    pub(crate) fn tail_of<U: Shareable>(&self) -> &[U] {
        const { assert!(align_of::<U>() <= 64 && size_of::<U>() > 0) };
        let len = (self.segment.len() - Self::TAIL_START) / size_of::<U>();
        // SAFETY: `at_start_of` checked that the segment is at least that long.
        let start = unsafe { self.segment.0.start.add(Self::TAIL_START) };
        // SAFETY: aligned, as the page and the offset are to 64; `len` elements long;
        // mapped for as long as `self` is borrowed; and any bits make a `Shareable`.
        unsafe { slice::from_raw_parts(start.cast().as_ptr(), len) }
    }
}

impl<T> AsFd for Shared<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.segment.as_fd()
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value,
            segment: self.segment.clone(),
            owns: PhantomData,
        }
    }
}

impl<T: Shareable> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `at_start_of` checked the length, the page is aligned, any bits make
        // a `Shareable`, and the mapping lives as long as `self`.
        unsafe { self.value.as_ref() }
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segment.fmt(f)
    }
}

impl<T> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.segment.has_its_file() {
            return Err(S::Error::custom(
                "this process has closed the descriptor of that memory",
            ));
        }
        handover::give(self.as_fd(), serializer)
    }
}

impl<'de, T: Shareable> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fd = handover::take(deserializer)?;
        Self::from_fd(fd).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_clone_and_a_second_mapping_are_the_same_memory() {
        let one = Segment::new(64).unwrap();
        let two = Segment::from_fd(one.0.fd.try_clone().unwrap()).unwrap();
        assert_eq!((one.len(), two.words(8).len()), (64, 7));
        one.clone().words(8)[0].store(5, Ordering::Relaxed);
        assert_eq!(two.words(0)[1].load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_value_has_its_tail_behind_it() {
        let shared = Shared::with_tail(AtomicU32::new(3), 16).unwrap();
        assert_eq!(shared.load(Ordering::Relaxed), 3);
        assert_eq!(shared.tail().len(), 2);
        assert!(
            shared
                .tail()
                .iter()
                .all(|word| word.load(Ordering::Relaxed) == 0)
        );
    }

    #[test]
    fn too_much_is_refused_when_it_is_made() {
        assert!(Segment::new(usize::MAX / 2).is_err());
    }

    #[test]
    fn a_handle_travels_only_with_a_hand_over() {
        let there = Shared::new(AtomicU32::new(3)).unwrap();
        let to_bytes = |shared: &Shared<AtomicU32>| postcard::to_stdvec(shared);
        assert!(to_bytes(&there).is_err());

        let (bytes, fds) = handover::collect(|| to_bytes(&there).unwrap());
        let read = || postcard::from_bytes::<Shared<AtomicU32>>(&bytes);
        assert!(read().is_err());
        let here = handover::receive(fds, read).unwrap();
        here.store(4, Ordering::Relaxed);
        assert_eq!(there.load(Ordering::Relaxed), 4);
    }
}
