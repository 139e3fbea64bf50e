//! Descriptors that do not pass for standard input, output or errors.
//!
//! The system gives a new descriptor the lowest free number. In a program that has closed
//! one of the three, as a daemon does, that would be 0, 1 or 2: then an `eprintln!` of
//! the program's would go into a queue, and a child's standard input would take a pipe
//! away.
//!
//! Also what there is to do when the system makes no further descriptor.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::{fmt, io};

/// The first number that is not a standard one.
const FIRST: i32 = 3;

/// This descriptor under a number that is not a standard one; closed on exec.
pub(crate) fn above_standard(fd: impl Into<OwnedFd>) -> io::Result<OwnedFd> {
    let fd = fd.into();
    if fd.as_raw_fd() >= FIRST {
        return Ok(fd);
    }
    duplicate(fd)
}

/// A second descriptor of the same, closed on exec, under a number that is not a standard
/// one.
pub(crate) fn duplicate(fd: impl AsFd) -> io::Result<OwnedFd> {
    // The standard library asks for a number of 3 or more itself.
    fd.as_fd().try_clone_to_owned()
}

/// What to do if the system has refused something because there are too many descriptors.
pub(crate) fn remedy(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        libc::EMFILE => {
            Some("close some, or raise their limit, as by `ulimit -n 4096`")
        }
        libc::ENFILE => Some(
            "close some, or raise their limit, as by `sysctl fs.file-max=500000`",
        ),
        // Descriptors in messages that nobody has received yet.
        libc::ETOOMANYREFS => Some(
            "receive messages that wait, or raise the limit of open files, as by \
             `ulimit -n 4096`",
        ),
        _ => None,
    }
}

/// The system's reason as a user reads it: with the remedy if there is one.
pub(crate) struct Reason<'a>(pub(crate) &'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        match remedy(self.0) {
            Some(remedy) => write!(f, ": {remedy}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_never_has_a_standard_number() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(duplicate(&null).unwrap().as_raw_fd() >= FIRST);
        assert!(above_standard(null).unwrap().as_raw_fd() >= FIRST);
    }
}
