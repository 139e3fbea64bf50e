//! Python's pickle format as plain data: values are read and written, nothing is run.
//!
//! A pickle is a program for a small stack machine, and Python's own reader calls
//! whatever function the program names. This one knows a closed table of classes
//! (`classes`), builds a [`Value`] and refuses everything else.
//!
//! # Limitations
//!
//! Protocols 2 to 5 without out-of-band buffers. A value that contains itself is
//! refused.

pub(super) mod array;
mod classes;
mod display;
mod number;
mod opcode;
mod read;
mod semantics;
mod temporal;
mod value;
mod work;
mod write;

use std::error::Error;
use std::fmt;

pub(super) use read::Reader;
pub(super) use semantics::{Key, equal, is_less};
pub(super) use value::Keeper;
pub use value::{BigInt, Exception, Object, ProxyRef, Shared, Token, Value};
pub(super) use work::{begin_request, charge_copy, work_for};
use write::write_value;
pub(super) use write::{write_call, write_reply};

/// The deepest nesting that is read or written. A thread's stack is large enough for it
/// even without optimisation.
const MAX_DEPTH: usize = 256;

/// The most memory that one message may take once it is read, what it repeats counted
/// each time, and the most that one request makes out of a little.
pub(super) const MAX_MEMORY: usize = 256 * MIB;

/// The longest message that is sent or received after authentication.
pub(super) const MAX_MESSAGE: usize = 64 * MIB;

const MIB: usize = 1 << 20;

/// Why bytes are not a [`Value`], or a [`Value`] cannot be written.
///
/// ```
/// use multiprocessing::managers::{PickleError, Value};
///
/// let call_system = b"\x80\x04\x8c\x02os\x8c\x06system\x93.";
/// let refused = Value::loads(call_system).unwrap_err();
/// assert_eq!(refused, PickleError::UnknownClass("os.system".into()));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PickleError {
    /// The bytes end in the middle.
    Truncated,
    /// This operation is not one of those that values are made of.
    UnknownOperation(u8),
    /// This class is not in the table.
    UnknownClass(String),
    /// The operations are known but make no sense together.
    Malformed(&'static str),
    /// The value is nested deeper than 256 levels, or contains itself.
    TooDeep,
    /// A set or the keys of a dict contain what Python cannot hash, or take too long to
    /// compare: the exception that Python's reader would raise.
    Unhashable(Exception),
    /// The value would take more than 256 MiB of memory.
    TooBig,
    /// The value would take more than 64 MiB as a message.
    TooLong,
}

impl PickleError {
    fn unknown_class(module: &str, name: &str) -> Self {
        let name = format!("{module}.{name}");
        // The name may be anything, and is shown to people.
        let name = name.chars().filter(|char| !char.is_control()).take(80);
        Self::UnknownClass(name.collect())
    }
}

impl fmt::Display for PickleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("The pickle ends in the middle."),
            Self::UnknownOperation(code) => {
                write!(
                    f,
                    "The pickle contains operation {code:#04x}, which is refused."
                )
            }
            Self::UnknownClass(name) => write!(
                f,
                "The pickle names {name}, and only plain data is accepted: send \
                 numbers, texts, lists and dicts instead."
            ),
            Self::Malformed(what) => write!(f, "The pickle is malformed: {what}."),
            Self::Unhashable(exception) => {
                write!(f, "The pickle's sets or dicts are malformed: {exception}.")
            }
            Self::TooDeep => write!(
                f,
                "The value is nested deeper than {MAX_DEPTH} levels or contains itself."
            ),
            Self::TooBig => write!(
                f,
                "The value takes more than {} MiB of memory, the most that is \
                 accepted: send it in parts.",
                MAX_MEMORY / MIB
            ),
            Self::TooLong => write!(
                f,
                "The value takes more than {} MiB as a message, the most that is \
                 sent: send it in parts.",
                MAX_MESSAGE / MIB
            ),
        }
    }
}

impl Error for PickleError {}

impl Value {
    /// Reads a pickle: Python's
    /// [`pickle.loads`](https://docs.python.org/3/library/pickle.html#pickle.loads), but
    /// safe to call on anybody's bytes. The example is at [`Value`].
    ///
    /// # Errors
    ///
    /// [`PickleError`] for whatever is not plain data.
    pub fn loads(pickle: &[u8]) -> Result<Self, PickleError> {
        Reader::new(pickle).read()
    }

    /// Writes a pickle of protocol 4: Python's
    /// [`pickle.dumps`](https://docs.python.org/3/library/pickle.html#pickle.dumps). The
    /// example is at [`Value`].
    ///
    /// # Errors
    ///
    /// [`PickleError::TooDeep`].
    pub fn dumps(&self) -> Result<Vec<u8>, PickleError> {
        let mut pickle = Vec::new();
        write_value(&mut pickle, self)?;
        Ok(pickle)
    }
}
