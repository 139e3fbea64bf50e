//! What can go wrong, each with what to do about it.

use std::{error, fmt, io, result};

use crate::codec::{DecodeError, EncodeError};
use crate::pipe::{RecvError, SendError};
use crate::pool::{PoolError, TaskError};
use crate::process::ProcessError;
use crate::queue::{GetError, PutError, TaskDoneTooOften, TasksLost};
use crate::sync::{BarrierBroken, NotLocked, NotOwner, ReleasedTooOften};
use crate::sys::descriptor::Reason;

/// What a function returns that can fail with any error of the library.
///
/// ```
/// use multiprocessing::{Pool, Process, Queue, pipe};
///
/// fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// fn main() -> multiprocessing::Result<()> {
/// #   // A test has threads, and a process that has threads must not fork.
/// #   if std::env::var_os("RUN_ME").is_none() {
/// #       let me = std::env::current_exe()?;
/// #       let status = std::process::Command::new(me).env("RUN_ME", "").status()?;
/// #       assert!(status.success());
/// #       return Ok(());
/// #   }
///     let (receiver, sender) = pipe(false)?;
///     let mut child = Process::new(|| sender.send(&21_u64).unwrap());
///     child.start()?;
///     let number = receiver.recv()?;
///     child.join()?;
///
///     let pool = Pool::new(1)?;
///     let q = Queue::new(0)?;
///     q.put(pool.apply(double, (number,))?)?;
///     assert_eq!(q.get()?, 42);
///     Ok(())
/// }
/// ```
///
/// The program in [`graceful_end`](crate::graceful_end) uses it with a manager, too.
pub type Result<T, E = Error> = result::Result<T, E>;

/// What the process library can fail with. Every other error of the library converts into
/// it: see [`Result`].
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
    /// A process could not be started, waited for or signalled.
    Process(ProcessError),
    /// There is no pool, or it could not be joined.
    Pool(Box<PoolError>),
    /// A task ended other than by its value.
    Task(TaskError),
    /// An item was not put into a queue. The item itself is dropped: match on
    /// [`PutError`] to keep it.
    Put(Box<PutError<()>>),
    /// No item was got from a queue.
    Get(GetError),
    /// Tasks of a [`JoinableQueue`](crate::JoinableQueue) are lost.
    TasksLost(TasksLost),
    /// More tasks of a [`JoinableQueue`](crate::JoinableQueue) were reported than put.
    TaskDoneTooOften(TaskDoneTooOften),
    /// A message was not sent.
    Send(SendError),
    /// No message was received.
    Recv(RecvError),
    /// A value cannot be encoded.
    Encode(EncodeError),
    /// A message cannot be decoded.
    Decode(DecodeError),
    /// A barrier is broken.
    BarrierBroken(BarrierBroken),
    /// A lock was released that nobody held.
    NotLocked(NotLocked),
    /// A thread released a lock that it did not hold, or used a condition without it.
    NotOwner(NotOwner),
    /// A bounded semaphore was released too often.
    ReleasedTooOften(ReleasedTooOften),
    /// The system refused: the error of [`wait`](crate::wait()),
    /// [`poll`](crate::Connection::poll) and [`NamedPipe`](crate::NamedPipe).
    Io(io::Error),
    /// A manager or a proxy could not do what it was asked to.
    #[cfg(feature = "managers")]
    Manager(Box<crate::managers::ManagerError>),
    /// A text is not the address of a manager.
    #[cfg(feature = "managers")]
    NotAnAddress(crate::managers::NotAnAddress),
    /// A broker cannot be used.
    #[cfg(feature = "broker")]
    Broker(Box<crate::broker::BrokerError>),
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

/// The errors that are passed on as they are, each with the variant that holds it.
macro_rules! passed_on {
    ($($(#[$cfg:meta])? $variant:ident: $error:ty;)*) => {
        $(
            $(#[$cfg])?
            impl From<$error> for Error {
                fn from(error: $error) -> Self {
                    Self::$variant(error.into())
                }
            }
        )*

        impl Error {
            /// The error that is passed on, if one is.
            fn passed_on(&self) -> Option<&(dyn error::Error + 'static)> {
                Some(match self {
                    $($(#[$cfg])? Self::$variant(error) => error,)*
                    Self::Put(error) => error,
                    _ => return None,
                })
            }
        }
    };
}

passed_on! {
    Process: ProcessError;
    Pool: PoolError;
    Task: TaskError;
    Get: GetError;
    TasksLost: TasksLost;
    TaskDoneTooOften: TaskDoneTooOften;
    Send: SendError;
    Recv: RecvError;
    Encode: EncodeError;
    Decode: DecodeError;
    BarrierBroken: BarrierBroken;
    NotLocked: NotLocked;
    NotOwner: NotOwner;
    ReleasedTooOften: ReleasedTooOften;
    Io: io::Error;
    #[cfg(feature = "managers")] Manager: crate::managers::ManagerError;
    #[cfg(feature = "managers")] NotAnAddress: crate::managers::NotAnAddress;
    #[cfg(feature = "broker")] Broker: crate::broker::BrokerError;
}

impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Self {
        Self::Put(Box::new(error.map(drop)))
    }
}

/// Through [`ManagerError`](crate::managers::ManagerError), which they convert into.
#[cfg(feature = "managers")]
mod of_managers {
    use super::Error;
    use crate::managers::{Exception, ManagerError, PickleError, WrongType};

    macro_rules! through_manager_error {
        ($($error:ty),*) => { $(
            impl From<$error> for Error {
                fn from(error: $error) -> Self {
                    ManagerError::from(error).into()
                }
            }
        )* };
    }
    through_manager_error!(Exception, PickleError, WrongType);
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{}", Reason(error)),
            Self::System { doing, source } => {
                write!(f, "cannot {doing}: {}", Reason(source))
            }
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
            _ => match self.passed_on() {
                Some(error) => write!(f, "{error}"),
                None => Ok(()),
            },
        }
    }
}

/// An error that is passed on speaks for itself: its cause is the next one, not the error
/// once more.
impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            _ => self.passed_on()?.source(),
        }
    }
}
