//! The mapping of a piece of shared memory with a name: see
//! [shm_open(3)](https://man7.org/linux/man-pages/man3/shm_open.3.html).
#![allow(unsafe_code, reason = "looks at mapped memory as bytes")]

use std::io;
use std::slice;

use nix::errno::Errno;
use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::numbers::Slot;

/// A named piece of shared memory, mapped by the `shared_memory` crate. When it is
/// dropped, the name that it was made with is removed, unless it was
/// [`disown`](Self::disown)ed.
pub(crate) struct NamedMapping(Shmem);

// SAFETY: the mapping belongs to the process, not to a thread of it.
unsafe impl Send for NamedMapping {}
// SAFETY: behind a shared reference there are only reads, and atomics in the mapping.
unsafe impl Sync for NamedMapping {}

impl NamedMapping {
    pub(crate) fn create(name: &str, size: usize) -> io::Result<Self> {
        let new = ShmemConf::new().os_id(format!("/{name}")).size(size);
        new.create().map(Self).map_err(reason)
    }

    pub(crate) fn open(name: &str) -> io::Result<Self> {
        let open = ShmemConf::new().os_id(format!("/{name}")).open();
        open.map(Self).map_err(reason)
    }

    /// Leaves the name when the mapping is dropped.
    pub(crate) fn disown(&mut self) {
        self.0.set_owner(false);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes. A write to one that has no memory ends the process by
    /// SIGBUS: see [`populate`](Self::populate).
    pub(crate) fn bytes(&self) -> &[Slot<u8>] {
        let start = self.0.as_ptr().cast();
        // SAFETY: the crate mapped that many bytes there for as long as `self` lives,
        // a slot of a byte has no alignment, and any byte makes one.
        unsafe { slice::from_raw_parts(start, self.len()) }
    }

    /// Takes memory for the whole of it, or fails.
    pub(crate) fn populate(&self) -> io::Result<()> {
        let start = self.0.as_ptr().cast();
        // SAFETY: changes no byte of this mapping, which the crate made: it only puts
        // pages behind it.
        let done =
            unsafe { libc::madvise(start, self.len(), libc::MADV_POPULATE_WRITE) };
        match Errno::result(done) {
            Ok(_) => Ok(()),
            // What a write would have been killed for.
            Err(Errno::EFAULT) => Err(Errno::ENOSPC.into()),
            Err(error) => Err(error.into()),
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
        ShmemError::MappingIdExists => io::ErrorKind::AlreadyExists.into(),
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use crate::sys::random;

    use super::*;

    #[test]
    fn a_taken_name_is_known_as_such() {
        let random = u64::from_ne_bytes(*random::bytes().first_chunk().unwrap());
        let name = format!("mp-test-{random:016x}");
        let _there = NamedMapping::create(&name, 1).unwrap();
        let refused = NamedMapping::create(&name, 1).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    }
}
