//! Memory that related processes share: a mapping of an anonymous file.
//!
//! It cannot be left behind: the file has no name and is gone with the last process that
//! has it. A forked child inherits the mapping; a spawned one is handed the descriptor (see
//! [`handover`]) and maps it itself, at another address.
#![allow(unsafe_code, reason = "maps memory and looks at it as a type")]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, align_of, size_of};
use std::num::NonZeroUsize;
use std::ops::{Deref, Range};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{
    AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use std::sync::{Arc, Mutex, OnceLock};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc::{dev_t, ino_t, off_t};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::{FileStat, fstat, stat};
use nix::unistd::ftruncate;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::chunk::{CHUNK_WORDS, CHUNKS};
use super::descriptor::above_standard;
use super::{large_pages, memory};
use crate::error::Error;
use crate::handover::{self, Kind};
use crate::poison::lock_unpoisoned;

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

/// A word of a tail or of a chunk. The code that reads and writes it orders that by other
/// words. A model check has a type of the same name that reports it if nothing does.
pub(crate) type Word = AtomicU64;

fn offset(bytes: usize) -> off_t {
    off_t::try_from(bytes).unwrap_or(off_t::MAX)
}

/// The largest piece that is allocated in one call. A signal interrupts `fallocate` and
/// undoes it, so that a process with a timer would never complete a large one.
const PIECE: usize = 1 << 20;

/// From this many bytes on space is not taken before it is written to, but only checked: to
/// take more than a container's group of processes may have ends with a kill.
const LARGE: usize = 1 << 24;

/// Makes sure that these bytes of the file can be written to. If it fails, a part of them
/// may be taken, and is freed with the file.
fn take_space(fd: &OwnedFd, start: usize, len: usize) -> nix::Result<()> {
    memory::check_file_size(start.saturating_add(len))?;
    if len >= LARGE && len > memory::available() {
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
/// behind a mapping of it would be gone, and SIGBUS would kill a process that reads it.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_SEAL);

/// A file in memory, without a name, sealed.
fn new_file() -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = above_standard(memfd_create(c"multiprocessing", flags)?)?;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(fd)
}

const MAKE: &str = "make a segment of shared memory";
const MAP: &str = "map a segment of shared memory";

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
    file: FileId,
    /// The chunks after this memory, mapped when they are first used: see
    /// [`Shared::chunk`].
    chunks: [OnceLock<Piece>; RUNS],
}

/// The device and the inode of a file.
pub(crate) type FileId = (dev_t, ino_t);

/// A part of a segment's file.
struct Piece {
    start: NonNull<u8>,
    len: NonZeroUsize,
}

// SAFETY: the mapping belongs to the process, not to a thread of it.
unsafe impl Send for Piece {}
// SAFETY: all access goes through atomics.
unsafe impl Sync for Piece {}

impl Piece {
    /// At this address, if it is given and free.
    fn map(
        fd: &OwnedFd,
        start: usize,
        len: usize,
        address: Option<NonZeroUsize>,
    ) -> nix::Result<Self> {
        let len = NonZeroUsize::new(len).unwrap_or(NonZeroUsize::MIN);
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED;
        // SAFETY: the kernel takes the address only if it is free, so nothing is mapped
        // over; and the file is sealed against being cut short.
        let start =
            unsafe { mmap(address, len, protection, flags, fd, offset(start)) }?;
        Ok(Self {
            start: start.cast(),
            len,
        })
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and this was its only owner.
        let unmapped = unsafe { munmap(self.start.cast(), self.len.get()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

// SAFETY: the mapping belongs to the process, not to a thread of it.
unsafe impl Send for Mapping {}
// SAFETY: all access goes through atomics.
unsafe impl Sync for Mapping {}

impl Segment {
    /// This number of bytes (at least one is made), all zero.
    ///
    /// The space is taken here, if it is not [`LARGE`]: a machine short of memory refuses
    /// it now, instead of killing the process that writes to it later.
    pub(crate) fn new(len: usize) -> Result<Self, Error> {
        let len = len.max(1);
        let fd = new_file().map_err(Error::system(MAKE))?;
        if len < LARGE {
            take_space(&fd, 0, len).map_err(Error::system(MAKE))?;
        } else {
            memory::check_file_size(len).map_err(Error::system(MAKE))?;
            if len > memory::available() {
                return Err(Error::system(MAKE)(Errno::ENOMEM));
            }
            ftruncate(&fd, offset(len)).map_err(Error::system(MAKE))?;
        }
        Self::map(fd, len)
    }

    /// This number of bytes, all zero, of which only the space of the first is taken. The
    /// others have addresses but no memory before [`take_space`](Self::take_space).
    fn sparse(len: usize, taken: usize) -> Result<Self, Error> {
        let fd = new_file().map_err(Error::system(MAKE))?;
        take_space(&fd, 0, taken).map_err(Error::system(MAKE))?;
        Self::map(fd, len)
    }

    /// Whether the descriptor is still that of this segment's file.
    pub(crate) fn has_its_file(&self) -> bool {
        self.0.has_its_file()
    }

    fn take_space(&self, start: usize, len: usize) -> Result<(), Error> {
        const DOING: &str = "take more shared memory";
        if !self.has_its_file() {
            return Err(Error::System {
                doing: DOING,
                source: std::io::Error::other(
                    "this process has closed the descriptor of that memory",
                ),
            });
        }
        take_space(&self.0.fd, start, len).map_err(Error::system(DOING))
    }

    fn give_space_back(&self, start: usize, len: usize) {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE
            | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        // What cannot be given back now is freed with the segment.
        if self.has_its_file() {
            fallocate(&*self.0.fd, flags, offset(start), offset(len)).ok();
        }
    }

    /// The segment of a descriptor that was handed over, all of its file.
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
        let len = usize::try_from(status.st_size).unwrap_or(0);
        if len == 0 {
            return Err(Error::System {
                doing: DOING,
                source: std::io::ErrorKind::UnexpectedEof.into(),
            });
        }
        Self::map(fd, len)
    }

    /// The first `len` bytes of the file, which may end before that.
    fn map(fd: OwnedFd, len: usize) -> Result<Self, Error> {
        let status = fstat(&fd).map_err(Error::system(MAP))?;
        let is_large = len >= LARGE && status.st_size >= offset(len);
        let address = is_large.then(|| large_pages::address(len)).flatten();
        let piece = Piece::map(&fd, 0, len, address).map_err(Error::system(MAP))?;
        let piece = ManuallyDrop::new(piece);
        Ok(Self(Arc::new(Mapping {
            start: piece.start,
            len: piece.len,
            fd: ManuallyDrop::new(fd),
            file: (status.st_dev, status.st_ino),
            chunks: [const { OnceLock::new() }; RUNS],
        })))
    }

    /// The number of its bytes.
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

    /// Prepares for all of it being written, now.
    fn prepare_to_fill(&self) -> nix::Result<()> {
        if self.len() < LARGE {
            return Ok(());
        }
        large_pages::make(self.words(0))
    }

    /// A chunk of the file after the mapped part. The chunks lie in runs, each as long as
    /// all before it, and a run is mapped when its first chunk is used.
    #[inline]
    fn chunk(&self, index: usize) -> Result<&[Word], Error> {
        let run = (index + 1).ilog2() as usize;
        let first = (1 << run) - 1;
        let piece = match self.0.chunks.get(run).and_then(OnceLock::get) {
            Some(piece) => piece,
            None => self.map_run(run)?,
        };
        // SAFETY: the chunk is one of the run, all of which is mapped.
        let start = unsafe { piece.start.add((index - first) * CHUNK_BYTES) };
        // SAFETY: aligned, as pages and chunks are; a chunk long; mapped for as long as
        // `self` is borrowed; and any bits make an atomic.
        Ok(unsafe { slice::from_raw_parts(start.cast().as_ptr(), CHUNK_WORDS) })
    }

    /// Maps a run of chunks into this process, once.
    #[cold]
    fn map_run(&self, run: usize) -> Result<&Piece, Error> {
        let Some(cell) = self.0.chunks.get(run) else {
            return Err(Error::system(MAP)(Errno::EOVERFLOW));
        };
        if !self.has_its_file() {
            return Err(Error::system(MAP)(Errno::EBADF));
        }
        let first = (1 << run) - 1;
        let (start, len) = (self.chunk_start(first), (1 << run) * CHUNK_BYTES);
        let piece =
            Piece::map(&self.0.fd, start, len, None).map_err(Error::system(MAP))?;
        // If another thread was faster, its mapping is as good.
        Ok(cell.get_or_init(|| piece))
    }

    /// Where in the file a chunk begins: after the mapped part, at a multiple of its own
    /// length. A mapping has to begin with a page, and a page is at most as long as a chunk:
    /// 4 KiB, or 16 or 64 on some machines.
    fn chunk_start(&self, index: usize) -> usize {
        self.len().next_multiple_of(CHUNK_BYTES) + index * CHUNK_BYTES
    }
}

const CHUNK_BYTES: usize = CHUNK_WORDS * size_of::<Word>();

/// Enough for all chunks: each run doubles their number.
const RUNS: usize = CHUNKS.ilog2() as usize + 1;

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl Mapping {
    fn has_its_file(&self) -> bool {
        self.has_this_file(self.fd.as_fd())
    }

    fn has_this_file(&self, fd: BorrowedFd<'_>) -> bool {
        self.is_status_of_its_file(fstat(fd))
    }

    fn is_status_of_its_file(&self, status: nix::Result<FileStat>) -> bool {
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
        drop(Piece {
            start: self.start,
            len: self.len,
        });
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Values of at most this many bytes share segments, so that thousands of locks need few
/// descriptors.
const SMALL: usize = 1 << 13;

/// What all small values begin at a multiple of: two cache lines, so that one value does
/// not slow another down.
const SPACING: usize = 128;

/// The length of the first segment of small values. Each further one is twice as long, up
/// to a limit.
const FIRST_ARENA: usize = 1 << 16;
const LARGEST_ARENA: usize = 1 << 22;

/// The segment of the small values that are made now. A forked child shares it with its
/// parent: the place of the next value is counted in the segment itself.
///
/// No place is used twice, as another process may still have what was there. A segment
/// goes when no process has a value in it.
static ARENA: Mutex<Option<Segment>> = Mutex::new(None);

/// A place for a small value of `len` bytes, all zero.
fn small(len: usize) -> Result<(Segment, usize), Error> {
    let len = len.next_multiple_of(SPACING);
    let mut arena = lock_unpoisoned(&ARENA);
    let mut new_len = FIRST_ARENA;
    if let Some(segment) = &*arena {
        let next = &segment.words(0)[0];
        // Words count from after the counter itself.
        let start = next.fetch_add(len as u64, Ordering::Relaxed);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let start = start.saturating_add(SPACING);
        if start.saturating_add(len) <= segment.len() {
            return Ok((segment.clone(), start));
        }
        new_len = (2 * segment.len()).min(LARGEST_ARENA);
    }
    let segment = Segment::new(new_len)?;
    segment.words(0)[0].store(len as u64, Ordering::Relaxed);
    *arena = Some(segment.clone());
    Ok((segment, SPACING))
}

/// A `T` in shared memory; what follows it is the tail. A clone is the same `T`.
pub(crate) struct Shared<T> {
    /// Into the segment: saves a step on the way of every operation.
    value: NonNull<T>,
    segment: Segment,
    /// Where in the segment the value lies.
    start: usize,
    /// The number of bytes of the value and its tail.
    len: usize,
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

    /// Puts a value into shared memory, followed by `tail` zero bytes.
    pub(crate) fn with_tail(value: T, tail: usize) -> Result<Self, Error> {
        let shared = Self::zeroed(tail)?;
        // SAFETY: `at` made sure that the segment is long enough and aligned, and no other
        // process has it yet.
        unsafe { shared.value.write(value) };
        Ok(shared)
    }

    /// A value of zero bytes, followed by `tail` more.
    pub(crate) fn zeroed(tail: usize) -> Result<Self, Error> {
        let len = Self::TAIL_START.saturating_add(tail);
        if len <= SMALL {
            let (segment, start) = small(len)?;
            return Self::at(segment, start, len);
        }
        Self::at(Segment::new(len)?, 0, len)
    }

    /// A value of zero bytes in a segment of its own.
    pub(crate) fn alone() -> Result<Self, Error> {
        Self::at(Segment::new(Self::TAIL_START)?, 0, Self::TAIL_START)
    }

    /// Puts a value into a segment of its own, followed by `tail` zero bytes whose space
    /// is not taken yet: see [`take_space`](Self::take_space). After them there is room for
    /// chunks: see [`take_chunks`](Self::take_chunks).
    pub(crate) fn sparse(value: T, tail: usize) -> Result<Self, Error> {
        let len = Self::TAIL_START.saturating_add(tail);
        let segment = Segment::sparse(len, Self::TAIL_START)?;
        let shared = Self::at(segment, 0, len)?;
        // SAFETY: as in `with_tail`.
        unsafe { shared.value.write(value) };
        Ok(shared)
    }

    /// Prepares for all of a value's tail being written, now: a large one gets large pages.
    ///
    /// # Errors
    ///
    /// The system makes none. It can be written all the same.
    pub(crate) fn prepare_to_fill(&self) -> nix::Result<()> {
        self.segment.prepare_to_fill()
    }

    /// Whether the descriptor is still that of this memory's file.
    pub(crate) fn has_its_file(&self) -> bool {
        self.segment.has_its_file()
    }

    /// Whether this is a descriptor of this memory's file.
    pub(crate) fn has_this_file(&self, fd: BorrowedFd<'_>) -> bool {
        self.segment.0.has_this_file(fd)
    }

    /// Whether this is a path of this memory's file.
    pub(crate) fn is_file_at(&self, path: &Path) -> bool {
        self.segment.0.is_status_of_its_file(stat(path))
    }

    /// Takes the space of these bytes of a sparse tail, if it is not taken yet. No byte may
    /// be touched before: that would end the process.
    pub(crate) fn take_space(&self, bytes: Range<usize>) -> Result<(), Error> {
        let start = Self::TAIL_START + bytes.start;
        self.segment.take_space(start, bytes.len())
    }

    /// Takes the space of these chunks after a sparse tail.
    pub(crate) fn take_chunks(&self, chunks: Range<usize>) -> Result<(), Error> {
        let start = self.segment.chunk_start(chunks.start);
        self.segment.take_space(start, chunks.len() * CHUNK_BYTES)
    }

    /// Gives the space of these chunks back to the machine.
    pub(crate) fn give_chunks_back(&self, chunks: Range<usize>) {
        let start = self.segment.chunk_start(chunks.start);
        self.segment
            .give_space_back(start, chunks.len() * CHUNK_BYTES);
    }

    /// A chunk, whose space must have been taken by some process.
    #[inline]
    pub(crate) fn chunk(&self, index: usize) -> Result<&[Word], Error> {
        self.segment.chunk(index)
    }

    /// Where the tail starts: after the value, at a whole cache line.
    const TAIL_START: usize = size_of::<T>().next_multiple_of(64);

    /// The value at the start of a segment that was handed over.
    pub(crate) fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        let segment = Segment::from_fd(fd)?;
        let len = segment.len();
        Self::at(segment, 0, len)
    }

    fn at(segment: Segment, start: usize, len: usize) -> Result<Self, Error> {
        const { assert!(align_of::<T>() <= SPACING) };
        let fits = start
            .checked_add(len)
            .is_some_and(|end| end <= segment.len());
        if !fits || len < Self::TAIL_START || !start.is_multiple_of(SPACING) {
            return Err(Error::System {
                doing: "attach a segment of shared memory",
                source: io::ErrorKind::UnexpectedEof.into(),
            });
        }
        Ok(Self {
            // SAFETY: within the segment, as was just checked.
            value: unsafe { segment.0.start.add(start) }.cast(),
            segment,
            start,
            len,
            owns: PhantomData,
        })
    }

    /// The bytes after the value, in whole words.
    pub(crate) fn tail(&self) -> &[Word] {
        self.tail_of()
    }

    /// What lies after the value, as many as there is room for.
    #[inline]
    pub(crate) fn tail_of<U: Shareable>(&self) -> &[U] {
        const { assert!(align_of::<U>() <= 64 && size_of::<U>() > 0) };
        let len = (self.len - Self::TAIL_START) / size_of::<U>();
        // SAFETY: `at` checked that the value and its tail lie within the segment.
        let start = unsafe { self.value.cast::<u8>().add(Self::TAIL_START) };
        // SAFETY: aligned, as the start and the offset are to 64; `len` elements long;
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
            start: self.start,
            len: self.len,
            owns: PhantomData,
        }
    }
}

impl<T: Shareable> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `at` checked length and alignment, any bits make a `Shareable`, and the
        // mapping lives as long as `self`.
        unsafe { self.value.as_ref() }
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segment.fmt(f)
    }
}

impl<T: 'static> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.segment.has_its_file() {
            return Err(S::Error::custom(
                "this process has closed the descriptor of that memory",
            ));
        }
        let memory = handover::Memory {
            file: self.segment.0.file,
            mapped: self.segment.len(),
            start: self.start,
            len: self.len,
        };
        handover::give_memory(self.as_fd(), Kind::of::<T>(), memory, serializer)
    }
}

impl<'de, T: Shareable> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = |fd, mapped| Segment::map(fd, mapped);
        let (segment, start, len) =
            handover::take_memory(Kind::of::<T>(), map, deserializer)?;
        Self::at(segment, start, len).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_and_a_second_mapping_are_the_same_memory() {
        let one = Segment::new(64).unwrap();
        let two = Segment::from_fd(one.0.fd.try_clone().unwrap()).unwrap();
        assert_eq!((one.len(), two.words(8).len()), (64, 7));
        one.clone().words(8)[0].store(5, Ordering::Relaxed);
        assert_eq!(two.words(0)[1].load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_value_has_its_tail_after_it() {
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
    fn a_chunk_begins_with_a_page_whatever_the_length_of_a_page() {
        const LONGEST: usize = 1 << 16;
        let shared = Shared::sparse(AtomicU32::new(3), 8).unwrap();
        for index in [0, 1, 2] {
            let start = shared.segment.chunk_start(index);
            assert!(start >= shared.segment.len());
            assert!(start.is_multiple_of(LONGEST), "{start}");
        }
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

        let (bytes, handles) = handover::collect(|| to_bytes(&there).unwrap());
        let read = || postcard::from_bytes::<Shared<AtomicU32>>(&bytes);
        assert!(read().is_err());
        let here = handover::receive(handles, read).unwrap();
        here.store(4, Ordering::Relaxed);
        assert_eq!(there.load(Ordering::Relaxed), 4);
    }
}
