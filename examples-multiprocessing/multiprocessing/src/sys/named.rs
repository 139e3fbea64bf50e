//! A piece of shared memory with a name, for programs that are not related: see
//! [shm_open(3)](https://man7.org/linux/man-pages/man3/shm_open.3.html).
//!
//! The `shared_memory` crate makes and maps it. What it leaves open is closed here: its
//! block is removed by any forked copy of its owner's handle, stays when its owner is
//! killed, and may have no memory behind it when it is written to.
#![allow(unsafe_code, reason = "looks at mapped memory as bytes")]

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::slice;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::numbers::Slot;
use super::resource_tracker::{DIRECTORY, Entry};
use super::segment::available_memory;
use crate::error::Error;

/// A block, mapped.
pub(crate) struct Block {
    mapping: Shmem,
    name: String,
    role: Role,
    /// Set once there is memory behind the whole of it.
    reserved: OnceLock<()>,
}

enum Role {
    /// The process that made it removes the block, and then strikes it out of its
    /// guardian's register.
    Maker {
        /// Whether the block's name is a second one, which the mapping does not know.
        linked: bool,
        entry: Entry,
    },
    /// Somebody else does.
    Guest,
}

// SAFETY: the mapping belongs to the process, not to a thread of it.
unsafe impl Send for Block {}
// SAFETY: behind a shared reference there are only reads, and atomics in the mapping.
unsafe impl Sync for Block {}

impl Block {
    /// Makes a block, with a name of its own where none is given.
    pub(crate) fn create(name: Option<&str>, size: usize) -> Result<Self, Error> {
        const DOING: &str = "make a block of shared memory";
        // In the register first: a process that is killed leaves nothing that its
        // guardian does not know.
        let entry = Entry::new(name.unwrap_or_default())?;
        let own_name = entry.own_name();
        let mapping = ShmemConf::new()
            .os_id(format!("/{own_name}"))
            .size(size)
            .create()
            .map_err(|error| Error::System {
                doing: DOING,
                source: reason(error),
            })?;
        if let Some(name) = name {
            let link = format!("{DIRECTORY}{name}");
            match fs::hard_link(format!("{DIRECTORY}{own_name}"), link) {
                Ok(()) => {}
                Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(Error::BlockExists { name: name.into() });
                }
                Err(error) => return Err(Error::system(DOING)(error)),
            }
        }
        Ok(Self {
            mapping,
            name: name.map_or(own_name, Into::into),
            role: Role::Maker {
                linked: name.is_some(),
                entry,
            },
            reserved: OnceLock::new(),
        })
    }

    /// Maps the block of this name.
    pub(crate) fn attach(name: &str) -> Result<Self, Error> {
        match ShmemConf::new().os_id(format!("/{name}")).open() {
            Ok(mapping) => Ok(Self {
                mapping,
                name: name.into(),
                role: Role::Guest,
                reserved: OnceLock::new(),
            }),
            Err(error) => Err(match reason(error) {
                source if source.kind() == io::ErrorKind::NotFound => {
                    Error::NoSuchBlock { name: name.into() }
                }
                source => Error::System {
                    doing: "attach a block of shared memory",
                    source,
                },
            }),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn size(&self) -> usize {
        self.mapping.len()
    }

    /// The block's bytes, with memory behind them.
    pub(crate) fn bytes(&self) -> Result<&[Slot<u8>], Error> {
        if self.reserved.get().is_none() {
            self.reserve()
                .map_err(Error::system("reserve shared memory"))?;
            // Twice is as good as once.
            let _first = self.reserved.set(());
        }
        let start = self.mapping.as_ptr().cast();
        // SAFETY: the crate mapped that many bytes there for as long as `self` lives,
        // a slot of a byte has no alignment, and any byte makes one.
        Ok(unsafe { slice::from_raw_parts(start, self.size()) })
    }

    /// Takes memory for the whole block, or says that there is none. A writer would
    /// otherwise be killed by SIGBUS at the first page for which there is none.
    fn reserve(&self) -> io::Result<()> {
        // The system would first take all that is left.
        let room = statvfs(DIRECTORY)?;
        let free = if room.blocks() == 0 {
            // The directory has no limit of its own.
            available_memory() as u64
        } else {
            room.blocks_available().saturating_mul(room.fragment_size())
        };
        let lacking = self.lacking()?;
        if lacking > free {
            return Err(Errno::ENOSPC.into());
        }
        let start = self.mapping.as_ptr().cast();
        // SAFETY: changes no byte of this mapping, which the crate made: it only puts
        // pages behind it.
        let done =
            unsafe { libc::madvise(start, self.size(), libc::MADV_POPULATE_WRITE) };
        match Errno::result(done) {
            Ok(_) => Ok(()),
            // What a write would have been killed for.
            Err(Errno::EFAULT) => Err(Errno::ENOSPC.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// How many bytes have no memory behind them yet. Nobody can tell once the block
    /// has lost its name, and then none are said to: the system will say it.
    fn lacking(&self) -> io::Result<u64> {
        match fs::metadata(format!("{DIRECTORY}{}", self.name)) {
            Ok(status) => {
                Ok((self.size() as u64).saturating_sub(status.blocks() * 512))
            }
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// Whether both names are of one file.
fn is_same(one: &str, other: &str) -> bool {
    let identity = |name| {
        let status = fs::metadata(format!("{DIRECTORY}{name}")).ok()?;
        Some((status.dev(), status.ino()))
    };
    let identity_of_one = identity(one);
    identity_of_one.is_some() && identity_of_one == identity(other)
}

impl Drop for Block {
    fn drop(&mut self) {
        match &self.role {
            // The drop of the mapping removes the name that it was made with.
            Role::Maker { linked, entry } if entry.is_mine() => {
                // Where somebody has removed it, the name may be a stranger's by now.
                if *linked && is_same(&self.name, &entry.own_name()) {
                    let _gone = fs::remove_file(format!("{DIRECTORY}{}", self.name));
                }
            }
            Role::Maker { .. } | Role::Guest => {
                self.mapping.set_owner(false);
            }
        }
    }
}

/// The system's own reason in the crate's error.
fn reason(error: ShmemError) -> io::Error {
    match error {
        ShmemError::MapCreateFailed(code)
        | ShmemError::MapOpenFailed(code)
        | ShmemError::UnknownOsError(code) => {
            io::Error::from_raw_os_error(code.cast_signed())
        }
        error => io::Error::other(error),
    }
}
