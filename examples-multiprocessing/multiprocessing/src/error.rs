//! What can go wrong, each with what to do about it.

use std::{fmt, io};

/// What the process library can fail with.
///
/// ```
/// use multiprocessing::Error;
///
/// let full = Error::System {
///     doing: "make a segment of shared memory",
///     source: std::io::Error::from_raw_os_error(28),
/// };
/// assert_eq!(
///     full.to_string(),
///     "cannot make a segment of shared memory: No space left on device (os error 28)"
/// );
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something: the sentence says what and why. Free what
    /// is short (memory, descriptors, processes) and try again.
    System {
        /// The operation, to be read after "cannot".
        doing: &'static str,
        /// The system's own reason.
        source: io::Error,
    },
    /// A [`Barrier`](crate::Barrier) for more parties than it has room for. Split the
    /// processes into groups.
    TooManyParties {
        /// The largest number that there is room for.
        most: usize,
    },
    /// There is a block of shared memory of this name already. Attach to it or take
    /// another name.
    BlockExists {
        /// The name.
        name: String,
    },
    /// There is no block of shared memory of this name. Another program must make it
    /// first, and keep it.
    NoSuchBlock {
        /// The name.
        name: String,
    },
    /// A block of shared memory cannot have this name. Take a short one without a slash.
    BlockName {
        /// The name.
        name: String,
    },
}

impl Error {
    /// For `map_err` on a system call: [`Error::System`].
    pub(crate) fn system<E: Into<io::Error>>(
        doing: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::System {
            doing,
            source: source.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { doing, source } => write!(f, "cannot {doing}: {source}"),
            Self::TooManyParties { most } => {
                write!(
                    f,
                    "a barrier has room for {most} parties: split them into groups"
                )
            }
            Self::BlockExists { name } => write!(
                f,
                "there is shared memory named {name:?} already: attach to it or take \
                 another name"
            ),
            Self::NoSuchBlock { name } => write!(
                f,
                "there is no shared memory named {name:?}: another program must make it \
                 first and keep it"
            ),
            Self::BlockName { name } => write!(
                f,
                "shared memory cannot be named {name:?}: take a short name without a \
                 slash"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
