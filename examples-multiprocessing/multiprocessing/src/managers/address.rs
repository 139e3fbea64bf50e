//! Where a server listens.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::sys::random;

/// Where a manager's server listens.
///
/// ```
/// use multiprocessing::managers::Address;
///
/// let tcp: Address = ("127.0.0.1", 5000).into();
/// assert_eq!("127.0.0.1:5000".parse::<Address>().unwrap(), tcp);
/// assert_eq!("/tmp/socket".parse::<Address>().unwrap().to_string(), "/tmp/socket");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Address {
    /// A port of a host, or of every interface of this machine if the host is empty.
    /// With port 0 the system picks a free one.
    Tcp {
        /// A name or an IPv4 address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A socket in the file system, which only its owner can use.
    Unix(PathBuf),
    /// A socket whose name is not in a file system: it vanishes with the last process
    /// that has it open.
    Abstract(Vec<u8>),
}

impl From<(&str, u16)> for Address {
    fn from((host, port): (&str, u16)) -> Self {
        Self::Tcp {
            host: host.into(),
            port,
        }
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.into())
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    /// `host:port`, `@name` for an abstract socket, or a path with a slash in it.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if let Some(name) = text.strip_prefix('@') {
            return Ok(Self::Abstract(name.into()));
        }
        if text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        text.rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse().ok()?).into()))
            .ok_or_else(|| NotAnAddress(text.into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
            Self::Abstract(name) => {
                write!(f, "@{}", OsStr::from_bytes(name).display())
            }
        }
    }
}

/// A text that is not an [`Address`].
///
/// ```
/// use multiprocessing::managers::Address;
///
/// let error = "here".parse::<Address>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "here is not an address: write host:port or the path of a socket."
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnAddress(String);

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "{text} is not an address: write host:port or the path of a socket."
        )
    }
}

impl std::error::Error for NotAnAddress {}

impl Address {
    /// An address of this machine that no other process has: an abstract socket with a random
    /// name.
    #[must_use]
    pub fn any() -> Self {
        let name =
            random::bytes().map(|byte| b"0123456789abcdef"[usize::from(byte % 16)]);
        Self::Abstract([&b"manager-"[..], &name].concat())
    }
}
