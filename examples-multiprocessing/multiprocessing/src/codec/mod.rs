//! How a value becomes the bytes of a message, and the reverse.

mod cause;

use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};
use std::{fmt, mem, slice};

use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sys::plain::{self, Plain};

thread_local! {
    /// The buffer that this thread's next [`Scratch`] takes.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Those that are taken after it.
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare::new()) };
}

/// A buffer for the bytes of a message, empty at first. Its memory serves this thread's
/// messages, one after the other or many at a time: what a thread frees, the allocator may
/// give back to the system, which clears each page before it gives it out again.
#[derive(Debug, Clone)]
pub(crate) struct Scratch(Vec<u8>);

impl Scratch {
    /// The most bytes that are kept of one message.
    const KEPT: usize = 1 << 18;

    #[inline]
    pub(crate) fn take() -> Self {
        // There is none left at the end of the thread.
        let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
        if buffer.capacity() == 0 {
            let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
            buffer = spare.unwrap_or_default();
        }
        buffer.clear();
        Self(buffer)
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        if self.0.capacity() <= Self::KEPT {
            let buffer = mem::take(&mut self.0);
            // Either fails at the end of the thread, which needs it no more.
            let before = BUFFER.try_with(|kept| kept.replace(buffer));
            if let Ok(before) = before
                && before.capacity() > 0
            {
                SPARE.try_with(|spare| spare.borrow_mut().push(before)).ok();
            }
        }
    }
}

/// Buffers that are not in use.
struct Spare {
    buffers: Vec<Vec<u8>>,
    /// Their memory.
    bytes: usize,
}

impl Spare {
    /// The most bytes that one thread keeps.
    const KEPT: usize = 4 << 20;

    const fn new() -> Self {
        Self {
            buffers: Vec::new(),
            bytes: 0,
        }
    }

    /// A buffer without memory if there is none.
    fn pop(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    fn push(&mut self, buffer: Vec<u8>) {
        if self.bytes + buffer.capacity() <= Self::KEPT {
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }
}

impl Deref for Scratch {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

/// The most bytes that are copied at once: so few that the C library does not use
/// `rep movsb`, which is slow where [`HALF_PAGE`](crate::channel::HALF_PAGE) says. The
/// bytes of a value and those of its message may lie that way.
const PIECE: usize = 2048;

/// The bytes of `value`.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    append(value, &mut bytes)?;
    Ok(bytes)
}

/// Appends the bytes of `value`. If it cannot be encoded, `bytes` are left as they were.
pub(crate) fn append<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    struct Append<'a>(&'a mut Vec<u8>);
    impl Flavor for Append<'_> {
        type Output = ();
        #[inline]
        fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
            self.0.push(byte);
            Ok(())
        }
        #[inline]
        fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
            if bytes.len() <= PIECE {
                self.0.extend_from_slice(bytes);
                return Ok(());
            }
            self.0.reserve(bytes.len());
            for piece in bytes.chunks(PIECE) {
                self.0.extend_from_slice(piece);
            }
            Ok(())
        }
        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }
    let before = bytes.len();
    let appended = match plain::as_byte_vec(value) {
        Some(vec) => postcard::serialize_with_flavor(&Blob(vec), Append(bytes)),
        None => postcard::serialize_with_flavor(value, Append(bytes)),
    };
    appended.map_err(|error| {
        bytes.truncate(before);
        EncodeError::of(value, &error)
    })
}

/// Takes the value at the front of `bytes`.
#[inline]
pub(crate) fn take_front<T: DeserializeOwned>(
    bytes: &mut &[u8],
) -> Result<T, DecodeError> {
    if plain::is_byte_vec::<T>() {
        let (Blob(slice), rest) = cause::decode_front(bytes).map_err(DecodeError)?;
        *bytes = rest;
        return Ok(plain::from_byte_vec(slice.to_vec()));
    }
    let (value, rest) = cause::decode_front(bytes).map_err(DecodeError)?;
    *bytes = rest;
    Ok(value)
}

/// Bytes that are copied at once. serde takes a `Vec<u8>` for a sequence and goes through
/// it byte by byte, for which the encoding is the same.
struct Blob<'a>(&'a [u8]);

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

/// Appends the bytes of a value that is one of many of its type: those of
/// [`append`], except that a primitive number is sent as it lies in memory. That is for
/// processes of this program, which run on one machine.
#[inline]
pub(crate) fn append_item<T: Serialize>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    match Plain::of() {
        Some(plain) => {
            bytes.extend_from_slice(plain.bytes(slice::from_ref(value)));
            Ok(())
        }
        None => append(value, bytes),
    }
}

/// Takes a value that [`append_item`] wrote from the front of `bytes`.
#[inline]
pub(crate) fn take_item<T: DeserializeOwned>(
    bytes: &mut &[u8],
) -> Result<T, DecodeError> {
    let Some(plain) = Plain::of() else {
        return take_front(bytes);
    };
    let (number, rest) = (bytes.split_at_checked(size_of::<T>()))
        .ok_or_else(|| DecodeError("it ends within a number".into()))?;
    *bytes = rest;
    Ok(plain.number(number))
}

/// Appends all items as [`append_item`] does. Returns their number, and the error of the
/// first that cannot be encoded.
pub(crate) fn append_items<T: Serialize>(
    items: impl Iterator<Item = T>,
    bytes: &mut Vec<u8>,
) -> (usize, Option<EncodeError>) {
    if let Some(plain) = Plain::of() {
        let numbers: Vec<T> = items.collect();
        bytes.extend_from_slice(plain.bytes(&numbers));
        return (numbers.len(), None);
    }
    let (mut count, mut refused) = (0, None);
    for item in items {
        count += 1;
        if let Err(error) = append(&item, bytes) {
            refused.get_or_insert(error);
        }
    }
    (count, refused)
}

/// Takes `count` values from the front of `bytes`, up to the first that cannot be decoded.
pub(crate) fn take_items<T: DeserializeOwned>(
    count: usize,
    bytes: &mut &[u8],
    items: &mut Vec<T>,
) -> Result<(), DecodeError> {
    let mut left = count;
    if let Some(plain) = Plain::of() {
        let numbers = bytes.chunks_exact(size_of::<T>()).take(count);
        left -= numbers.len();
        items.extend(numbers.map(|number| plain.number(number)));
        *bytes = &bytes[(count - left) * size_of::<T>()..];
    }
    for _ in 0..left {
        items.push(take_item(bytes)?);
    }
    Ok(())
}

/// The value whose bytes these are, all of them.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = take_front(&mut rest)?;
    if !rest.is_empty() {
        let cause = "it has more bytes than a value of the type";
        return Err(DecodeError(cause.into()));
    }
    Ok(value)
}

/// A value cannot be encoded: its own `Serialize` refused, or it is a sequence that does
/// not know its length. Nothing was sent.
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
pub struct EncodeError(
    /// Why, in the words of the value's own `Serialize`.
    String,
);

impl EncodeError {
    #[cold]
    fn of<T: Serialize + ?Sized>(value: &T, error: &postcard::Error) -> Self {
        Self(cause::of_encoding(value).unwrap_or_else(|| error.to_string()))
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value cannot be encoded: {}", self.0)
    }
}

impl std::error::Error for EncodeError {}

/// A message arrived whole, but its bytes do not make a value of the type that was asked
/// for, or claim more than a million items that have no bytes, such as `()`. The message is
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
    /// Why, in the words of the type's own `Deserialize`.
    String,
);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the message cannot be decoded as the type asked for: {}",
            self.0
        )
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::iter;

    use super::*;

    /// Whether the items come back, and are missed if the last byte is.
    fn come_back<T>(items: Vec<T>)
    where
        T: Serialize + DeserializeOwned + Clone + PartialEq + Debug,
    {
        let mut bytes = Vec::new();
        let (count, refused) = append_items(items.iter().cloned(), &mut bytes);
        assert_eq!((count, refused), (items.len(), None));

        let (mut rest, mut read) = (&bytes[..], Vec::<T>::new());
        take_items(count, &mut rest, &mut read).unwrap();
        assert_eq!(read, items);
        assert!(rest.is_empty());

        let mut rest = &bytes[..];
        let one_by_one = items.iter().map(|_| take_item::<T>(&mut rest).unwrap());
        assert_eq!(one_by_one.collect::<Vec<_>>(), items);

        let (mut cut, mut read) = (&bytes[..bytes.len() - 1], Vec::<T>::new());
        assert!(take_items(count, &mut cut, &mut read).is_err());
        assert_eq!(read, items[..count - 1]);
    }

    #[test]
    fn what_is_copied_in_pieces_comes_back_whole() {
        for length in [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 7] {
            let text: String = ('a'..='z').cycle().take(length).collect();
            assert_eq!(decode::<String>(&encode(&text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn messages_that_were_in_use_together_leave_memory_for_as_many_within_a_limit() {
        let many = 2 * Spare::KEPT / Scratch::KEPT;
        let messages =
            || -> Vec<_> { iter::repeat_with(Scratch::take).take(many).collect() };
        let mut first = messages();
        for message in &mut first {
            message.resize(Scratch::KEPT, 1);
        }
        drop(first);
        let second = messages();
        assert!(second.iter().all(|message| message.is_empty()));
        let with_memory = second.iter().filter(|message| message.capacity() > 0);
        assert_eq!(with_memory.count(), Spare::KEPT / Scratch::KEPT + 1);
    }

    #[test]
    fn a_vector_of_bytes_is_encoded_as_any_sequence() {
        for length in [0, 1, 127, 128, PIECE, 70_000] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            let encoded = encode(&bytes).unwrap();
            assert_eq!(encoded, encode(&bytes[..]).unwrap());
            assert_eq!(decode::<Vec<u8>>(&encoded).unwrap(), bytes);
            assert!(decode::<Vec<u8>>(&encoded[..length]).is_err());
        }
    }

    #[test]
    fn items_come_back_whether_they_are_plain_numbers_or_not() {
        come_back(vec![0_u8, 1, u8::MAX]);
        come_back(vec![-1_i16, i16::MIN, 7]);
        come_back(vec![1_u64, u64::MAX, 0]);
        come_back(vec![1.5_f64, -0.0, f64::INFINITY]);
        come_back(vec![u128::MAX, 1]);
        come_back(vec![true, false]);
        come_back(vec!['a', 'ß']);
        come_back(vec![(1_u64, 2.5_f32), (u64::MAX, 0.0)]);
        come_back(vec![Some("seven".to_string()), None]);
    }
}
