//! How a value becomes the bytes of a message, and the reverse.

use std::cell::Cell;
use std::fmt;

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

thread_local! {
    /// Space for the bytes of a message, kept from one message to the next. It is taken
    /// out while in use, since a value's own `Serialize` may send something, too.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The largest space that is kept.
const KEPT: usize = 1 << 18;

/// This thread's space for the bytes of a message.
pub(crate) fn scratch() -> Vec<u8> {
    SCRATCH.take()
}

/// Puts the space back.
pub(crate) fn keep(scratch: Vec<u8>) {
    if scratch.capacity() <= KEPT {
        SCRATCH.set(scratch);
    }
}

/// Replaces `bytes` by those of `value`.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    mut bytes: Vec<u8>,
) -> Result<Vec<u8>, EncodeError> {
    bytes.clear();
    postcard::to_extend(value, bytes).map_err(EncodeError)
}

/// Appends the bytes of `value`; leaves `bytes` as they were if it cannot be serialised.
pub(crate) fn append<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    struct Append<'a>(&'a mut Vec<u8>);
    impl Flavor for Append<'_> {
        type Output = ();
        fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
            self.0.push(byte);
            Ok(())
        }
        fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }
    let before = bytes.len();
    postcard::serialize_with_flavor(value, Append(bytes)).map_err(|error| {
        bytes.truncate(before);
        EncodeError(error)
    })
}

/// Takes the value at the front of `bytes`.
pub(crate) fn take_front<T: DeserializeOwned>(
    bytes: &mut &[u8],
) -> Result<T, DecodeError> {
    let (value, rest) =
        postcard::take_from_bytes(bytes).map_err(|e| DecodeError(Some(e)))?;
    *bytes = rest;
    Ok(value)
}

/// The value whose bytes these are, all of them.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, rest) =
        postcard::take_from_bytes(bytes).map_err(|e| DecodeError(Some(e)))?;
    if !rest.is_empty() {
        return Err(DecodeError(None));
    }
    Ok(value)
}

/// A value cannot be serialised: its own `Serialize` refused, or it is a sequence that
/// does not know its length. Nothing was sent.
///
/// ```
/// use multiprocessing::{SendError, pipe};
///
/// # fn main() -> tutorial::Result<()> {
/// let (_receiver, sender) = pipe(false)?;
/// let endless = Endless;
/// # struct Endless;
/// # impl serde::Serialize for Endless {
/// #     fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
/// #         serde::ser::SerializeSeq::end(s.serialize_seq(None)?)
/// #     }
/// # }
/// assert!(matches!(sender.send(&endless), Err(SendError::Encode(_))));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError(postcard::Error);

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value cannot be serialised: {}", self.0)
    }
}

impl std::error::Error for EncodeError {}

/// A message arrived whole, but is not a value of the type that was asked for. It is
/// taken; the next one can be received.
///
/// ```
/// use multiprocessing::{RecvError, pipe};
///
/// # fn main() -> tutorial::Result<()> {
/// let (receiver, sender) = pipe(false)?;
/// sender.send("seven")?;
/// sender.send(&7)?;
/// assert!(matches!(receiver.recv::<bool>(), Err(RecvError::Decode(_))));
/// assert_eq!(receiver.recv::<i32>()?, 7);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError(
    /// `None` if bytes were left over.
    Option<postcard::Error>,
);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is not a value of the type asked for: ")?;
        match &self.0 {
            Some(error) => error.fmt(f),
            None => f.write_str("it has too many bytes"),
        }
    }
}

impl std::error::Error for DecodeError {}
