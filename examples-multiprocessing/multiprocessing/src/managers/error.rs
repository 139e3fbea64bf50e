//! What can go wrong between a client and its server.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use super::address::Address;
use super::convert::WrongType;
use super::pickle::{Exception, MAX_MESSAGE, PickleError};
use super::wire::SendError;
use super::wire::auth::AuthError;
use super::wire::frame::FrameError;
use crate::ProcessError;
use crate::sys::descriptor::remedy;
use crate::visible::visible;

/// Why a manager or one of its proxies could not do what it was asked to.
///
/// ```
/// use multiprocessing::managers::{BaseManager, ManagerError};
///
/// let mut manager = BaseManager::new(("127.0.0.1", 1), b"abc");
/// let error = manager.connect().unwrap_err();
/// assert!(matches!(error, ManagerError::Absent { .. }));
/// assert!(error.to_string().starts_with("No server answers at 127.0.0.1:1"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ManagerError {
    /// No server listens there, it cannot be reached, or it has closed the connection at
    /// once.
    Absent {
        /// Where.
        address: Address,
        /// The system's error.
        source: io::Error,
    },
    /// The two sides do not have the same key.
    WrongKey {
        /// Where.
        address: Address,
    },
    /// What listens there is not a manager's server, or it speaks an incompatible
    /// protocol.
    Protocol {
        /// Where.
        address: Address,
        /// What it did.
        what: String,
    },
    /// The connection ended during a call: the server has ended or was killed.
    Lost {
        /// Where it was.
        address: Address,
    },
    /// The server exists but has not answered in time: it is stopped, overloaded or has
    /// too many open files.
    TimedOut {
        /// Where it is.
        address: Address,
    },
    /// The answer is longer than 64 MiB.
    TooLong {
        /// Where it came from.
        address: Address,
        /// How many bytes it has.
        bytes: u64,
    },
    /// The server could not listen at the address.
    Bind {
        /// Which.
        address: Address,
        /// The system's error.
        source: io::Error,
    },
    /// The queue has nothing to give: Python's `queue.Empty`.
    Empty,
    /// The queue has no room: Python's `queue.Full`.
    Full,
    /// The queue was shut down: Python's `queue.ShutDown`.
    ShutDown,
    /// The object's method raised something else.
    Raised(Exception),
    /// The server could not carry out the request: the object is gone, or the server does
    /// not have the type or the method. The text is the server's.
    Refused(String),
    /// What came back is not of the type that was asked for.
    Unexpected {
        /// What was asked for.
        wanted: &'static str,
        /// What came.
        got: String,
    },
    /// The value cannot be sent, or what came is more than plain data.
    Pickle(PickleError),
    /// The manager has neither been started nor connected.
    NotConnected,
    /// The manager has already been started or connected.
    AlreadyConnected,
    /// The server's process could not be started or waited for.
    Process(ProcessError),
}

impl fmt::Display for ManagerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { address, source } => {
                match (remedy(source), source.kind()) {
                    (Some(remedy), _) => write!(
                        f,
                        "No connection to {address} could be made ({source}): {remedy}."
                    ),
                    (_, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                        write!(
                            f,
                            "The server at {address} closed the connection at once \
                             ({source}): start it again if it has ended, or raise \
                             its limits of open files and of processes, as by \
                             `ulimit -n 4096` and `ulimit -u 4096`."
                        )
                    }
                    _ => write!(
                        f,
                        "No server answers at {address} ({source}): start the server \
                         first."
                    ),
                }
            }
            Self::WrongKey { address } => write!(
                f,
                "The server at {address} has another authkey: give both sides the \
                 same."
            ),
            Self::Protocol { address, what } => write!(
                f,
                "What listens at {address} is not a compatible manager: {what}."
            ),
            Self::Lost { address } => write!(
                f,
                "The connection to {address} ended before the answer came: the server \
                 has ended."
            ),
            Self::TimedOut { address } => write!(
                f,
                "The server at {address} has not answered in time: check whether it is \
                 stopped, overloaded or has too many open files."
            ),
            Self::TooLong { address, bytes } => write!(
                f,
                "The answer of {address} has {bytes} bytes, and at most {MAX_MESSAGE} \
                 are received: ask for it in parts."
            ),
            Self::Bind { address, source } => write!(
                f,
                "The address {address} cannot be listened to ({source}): {}.",
                remedy(source).unwrap_or("choose another")
            ),
            Self::Empty => f.write_str("The queue is empty."),
            Self::Full => f.write_str("The queue is full."),
            Self::ShutDown => f.write_str("The queue is shut down."),
            Self::Raised(exception) => {
                let exception = visible(&exception.to_string());
                write!(f, "The managed object raised {exception}.")
            }
            Self::Refused(what) => {
                write!(f, "The server refused the request: {what}.")
            }
            Self::Unexpected { wanted, got } => {
                write!(f, "The answer is {got}, which is not {wanted}.")
            }
            Self::Pickle(error) => error.fmt(f),
            Self::NotConnected => f.write_str(
                "The manager has no server yet: call start or connect first.",
            ),
            Self::AlreadyConnected => f.write_str(
                "The manager already has a server: make a new manager for another.",
            ),
            Self::Process(error) => error.fmt(f),
        }
    }
}

// The system's message is part of the sentence, too: the source is for a program that asks
// what kind of failure it was.
impl Error for ManagerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Absent { source, .. } | Self::Bind { source, .. } => Some(source),
            Self::Raised(exception) => Some(exception),
            // Their sentence is the whole message, so only their own source follows.
            Self::Pickle(error) => error.source(),
            Self::Process(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Exception> for ManagerError {
    fn from(exception: Exception) -> Self {
        match (exception.module(), exception.name()) {
            ("queue", "Empty") => Self::Empty,
            ("queue", "Full") => Self::Full,
            ("queue", "ShutDown") => Self::ShutDown,
            _ => Self::Raised(exception),
        }
    }
}

impl From<WrongType> for ManagerError {
    fn from(WrongType { wanted, got }: WrongType) -> Self {
        Self::Unexpected { wanted, got }
    }
}

impl From<PickleError> for ManagerError {
    fn from(error: PickleError) -> Self {
        Self::Pickle(error)
    }
}

impl From<ProcessError> for ManagerError {
    fn from(error: ProcessError) -> Self {
        Self::Process(error)
    }
}

impl ManagerError {
    pub(super) fn auth(address: &Address) -> impl Fn(AuthError) -> Self {
        move |error| {
            let address = address.clone();
            match error {
                AuthError::WrongKey => Self::WrongKey { address },
                AuthError::Protocol(what) => Self::Protocol {
                    address,
                    what: what.into(),
                },
                AuthError::LegacyDigest => Self::Protocol {
                    address,
                    what: "it offers only MD5, which was ruled out".into(),
                },
                AuthError::Io(error) if error.kind() == ErrorKind::TimedOut => {
                    Self::TimedOut { address }
                }
                AuthError::Io(source) => Self::Absent { address, source },
            }
        }
    }

    pub(super) fn frame(address: &Address) -> impl Fn(FrameError) -> Self {
        move |error| {
            let address = address.clone();
            match error {
                FrameError::Io(error) if error.kind() == ErrorKind::TimedOut => {
                    Self::TimedOut { address }
                }
                FrameError::Cut | FrameError::Io(_) => Self::Lost { address },
                FrameError::TooLong(bytes) => Self::TooLong { address, bytes },
                FrameError::Negative => Self::Protocol {
                    address,
                    what: "its message has a negative length".into(),
                },
                FrameError::Empty => Self::Protocol {
                    address,
                    what: "its message is empty".into(),
                },
            }
        }
    }

    pub(super) fn send(address: &Address) -> impl Fn(SendError) -> Self {
        move |error| match error {
            SendError::Pickle(error) => Self::Pickle(error),
            SendError::Lost => Self::Lost {
                address: address.clone(),
            },
            SendError::TimedOut => Self::TimedOut {
                address: address.clone(),
            },
        }
    }
}
