//! Blocks of memory with a name.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::block::Block;
use crate::error::Error;
use crate::sys::numbers::Slot;
use crate::sys::watcher::LONGEST_NAME;

/// A block of memory that programs find by its name: Python's
/// [`multiprocessing.shared_memory.SharedMemory`](https://docs.python.org/3/library/multiprocessing.shared_memory.html),
/// whose blocks these are: either language attaches to the other's.
///
/// ```
/// use multiprocessing::SharedMemory;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let mine = SharedMemory::new(10)?;
/// mine.bytes()?[0].set(42);
///
/// let theirs = SharedMemory::attach(mine.name())?; // in another program, say
/// assert_eq!(theirs.bytes()?[0].get(), 42);
///
/// let name = mine.name().to_string();
/// drop(mine); // removes the block; `theirs` keeps the memory
/// assert!(SharedMemory::attach(&name).is_err());
/// # Ok(())
/// # }
/// ```
///
/// The block belongs to the process that made it, and goes when that drops its handle.
/// A forked child inherits the handle as a guest. It serialises as its name, and
/// deserialises by attaching.
///
/// # When a process dies
///
/// A block whose maker ends without having dropped it, be it by SIGKILL, is removed at
/// once, by a small process that the maker started with its first block. Processes that
/// are attached keep the memory.
pub struct SharedMemory {
    block: Block,
}

impl SharedMemory {
    /// A block of this number of zero bytes under a name that no other block has.
    ///
    /// # Errors
    ///
    /// [`Error::System`], also for a block of no bytes.
    pub fn new(size: usize) -> Result<Self, Error> {
        Ok(Self {
            block: Block::create(None, size)?,
        })
    }

    /// A block of this number of zero bytes under this name: `SharedMemory(name, create=True)`.
    ///
    /// # Errors
    ///
    /// [`Error::BlockExists`]; [`Error::BlockName`] for a name that is empty, too long
    /// or not a file name; [`Error::System`], also for a block of no bytes.
    pub fn create(name: &str, size: usize) -> Result<Self, Error> {
        Ok(Self {
            block: Block::create(Some(checked(name)?), size)?,
        })
    }

    /// The block of this name.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchBlock`], [`Error::BlockName`] or [`Error::System`].
    pub fn attach(name: &str) -> Result<Self, Error> {
        Ok(Self {
            block: Block::attach(checked(name)?)?,
        })
    }

    /// The name under which others attach.
    #[must_use]
    pub fn name(&self) -> &str {
        self.block.name()
    }

    /// The number of bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.block.size()
    }

    /// The bytes: Python's `buf`. They have no lock; each is read and written whole.
    ///
    /// The first call makes sure that the whole block has memory, so that later uses of
    /// it cannot fail, as long as no other program cuts the block short: then a use ends
    /// this process by SIGBUS.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the system is short of memory for blocks. Python is killed by
    /// SIGBUS then, when it writes.
    pub fn bytes(&self) -> Result<&[Slot<u8>], Error> {
        self.block.bytes()
    }
}

fn checked(name: &str) -> Result<&str, Error> {
    let fit = (1..=LONGEST_NAME).contains(&name.len())
        && !name.contains(['/', '\0'])
        && name != "."
        && name != "..";
    if fit {
        Ok(name)
    } else {
        Err(Error::BlockName { name: name.into() })
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("name", &self.name())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::attach(&name).map_err(D::Error::custom)
    }
}
