//! A piece of shared memory with a name, for programs that are not related.
//!
//! The `shared_memory` crate makes and maps it. Three things that it leaves open are
//! settled here: its block would be removed by any forked copy of its owner's handle,
//! would stay when its owner is killed, and might have no memory when it is
//! written to.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;

use crate::error::Error;
use crate::resource_tracker::{self, Tracked};
use crate::sys::memory;
use crate::sys::named::NamedMapping;
use crate::sys::numbers::Slot;
use crate::sys::watcher::DIRECTORY;

/// A block, mapped.
pub(super) struct Block {
    mapping: NamedMapping,
    name: String,
    role: Role,
    /// Set once the whole of it has memory.
    reserved: OnceLock<()>,
}

enum Role {
    /// The process that made the block removes it, and then stops tracking it.
    Maker {
        /// Whether the block's name is a second one, which the mapping does not know.
        linked: bool,
        tracked: Tracked,
    },
    /// Another process made it and removes it.
    Guest,
}

impl Block {
    /// Makes a block, with a name of its own if none is given.
    pub(super) fn create(name: Option<&str>, size: usize) -> Result<Self, Error> {
        Self::create_numbered(name, size, resource_tracker::random_number)
    }

    /// The same, with the numbers that it may have from `number`.
    fn create_numbered(
        name: Option<&str>,
        size: usize,
        mut number: impl FnMut() -> u64,
    ) -> Result<Self, Error> {
        const DOING: &str = "make a block of shared memory";
        memory::check_file_size(size).map_err(Error::system(DOING))?;
        // Tracked first: a process that is killed leaves nothing that its watcher does
        // not know.
        let (tracked, own_name, mapping) = loop {
            let tracked = Tracked::new(name.unwrap_or_default(), number())?;
            let own_name = tracked.own_name();
            match NamedMapping::create(&own_name, size) {
                Ok(mapping) => break (tracked, own_name, mapping),
                // There is a block of that number: the next one has another.
                Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::system(DOING)(of_folder(error))),
            }
        };
        let own_file = format!("{DIRECTORY}{own_name}");
        // The umask may have withheld these.
        fs::set_permissions(&own_file, Permissions::from_mode(0o600))
            .map_err(Error::system(DOING))?;
        if let Some(name) = name {
            let link = format!("{DIRECTORY}{name}");
            match fs::hard_link(own_file, link) {
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
                tracked,
            },
            reserved: OnceLock::new(),
        })
    }

    /// Maps the block of this name.
    pub(super) fn attach(name: &str) -> Result<Self, Error> {
        match NamedMapping::open(name) {
            Ok(mapping) => Ok(Self {
                mapping,
                name: name.into(),
                role: Role::Guest,
                reserved: OnceLock::new(),
            }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                Err(Error::NoSuchBlock { name: name.into() })
            }
            Err(source) => Err(Error::System {
                doing: "attach a block of shared memory",
                source,
            }),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn size(&self) -> usize {
        self.mapping.len()
    }

    /// The block's bytes, which all have memory.
    pub(super) fn bytes(&self) -> Result<&[Slot<u8>], Error> {
        if self.reserved.get().is_none() {
            self.reserve()
                .map_err(Error::system("reserve shared memory"))?;
            // To reserve it twice does no harm.
            self.reserved.set(()).ok();
        }
        Ok(self.mapping.bytes())
    }

    /// Takes memory for the whole block, or says that there is none. A writer would
    /// otherwise be killed by SIGBUS at the first page for which there is none.
    fn reserve(&self) -> io::Result<()> {
        // Asked first, since the system would take all that is left before it fails.
        let room = statvfs(DIRECTORY)?;
        let memory = memory::available() as u64;
        let free = if room.blocks() == 0 {
            // The directory has no limit of its own.
            memory
        } else {
            let room = room.blocks_available().saturating_mul(room.fragment_size());
            room.min(memory)
        };
        if self.lacking()? > free {
            return Err(Errno::ENOSPC.into());
        }
        self.mapping.populate()
    }

    /// The number of bytes that have no memory yet. Once the block has lost
    /// its name it cannot be known: then it is 0, and the system itself has to refuse.
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

/// What there is to do if no block can be made where all are made.
fn of_folder(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem => io::Error::new(
            error.kind(),
            format!(
                "{error}: mount a tmpfs that this user may write to at /dev/shm"
            ),
        ),
        _ => error,
    }
}

/// Whether both names are names of one file.
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
            Role::Maker { linked, tracked } if tracked.is_mine() => {
                // If somebody has removed it, the name may be a stranger's by now.
                if *linked && is_same(&self.name, &tracked.own_name()) {
                    // If it has just been removed, there is no more to do.
                    fs::remove_file(format!("{DIRECTORY}{}", self.name)).ok();
                }
            }
            Role::Maker { .. } | Role::Guest => self.mapping.disown(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_whose_name_is_taken_gets_another() {
        let first = resource_tracker::random_number();
        let mut numbers = [first, first, first + 1].into_iter();
        let mut block =
            || Block::create_numbered(None, 1, || numbers.next().unwrap()).unwrap();
        let (one, other) = (block(), block());
        one.bytes().unwrap()[0].set(7);
        assert_eq!(other.bytes().unwrap()[0].get(), 0);
        assert_ne!(one.name(), other.name());
    }
}
