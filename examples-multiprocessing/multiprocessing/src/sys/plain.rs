//! Primitive numbers as their bytes, and vectors of bytes, for code that is generic over
//! types of all kinds.
#![allow(
    unsafe_code,
    reason = "looks at numbers as bytes, and at bytes as numbers"
)]

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::{ptr, slice};

/// The knowledge that a type is a primitive number: all its bytes belong to its value, and
/// any bytes make one.
pub(crate) struct Plain<T>(PhantomData<T>);

impl<T> Clone for Plain<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Plain<T> {}

#[expect(clippy::unused_self, reason = "that there is one is the proof")]
impl<T> Plain<T> {
    /// Nothing if `T` is any other type. The compiler computes the answer.
    #[inline]
    pub(crate) fn of() -> Option<Self> {
        let numbers = [
            TypeId::of::<u8>(),
            TypeId::of::<i8>(),
            TypeId::of::<u16>(),
            TypeId::of::<i16>(),
            TypeId::of::<u32>(),
            TypeId::of::<i32>(),
            TypeId::of::<u64>(),
            TypeId::of::<i64>(),
            TypeId::of::<u128>(),
            TypeId::of::<i128>(),
            TypeId::of::<usize>(),
            TypeId::of::<isize>(),
            TypeId::of::<f32>(),
            TypeId::of::<f64>(),
        ];
        numbers
            .contains(&erased_id::<T>())
            .then_some(Self(PhantomData))
    }

    /// The bytes of these numbers.
    #[inline]
    pub(crate) fn bytes(self, numbers: &[T]) -> &[u8] {
        let (start, length) = (numbers.as_ptr().cast(), size_of_val(numbers));
        // SAFETY: `self` exists, so that `T` is a primitive number, which has no byte that
        // is not initialized.
        unsafe { slice::from_raw_parts(start, length) }
    }

    /// The number of these bytes, as many as one has.
    #[inline]
    pub(crate) fn number(self, bytes: &[u8]) -> T {
        assert_eq!(bytes.len(), size_of::<T>(), "not the bytes of one number");
        // SAFETY: `self` exists, so that `T` is a primitive number, which any bytes make;
        // and there are enough of them.
        unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
    }
}

/// Whether `T` is `Vec<u8>`. The compiler computes the answer.
#[inline]
pub(crate) fn is_byte_vec<T: ?Sized>() -> bool {
    erased_id::<T>() == TypeId::of::<Vec<u8>>()
}

/// The bytes of a `Vec<u8>`; nothing if `T` is any other type.
#[inline]
pub(crate) fn as_byte_vec<T: ?Sized>(value: &T) -> Option<&[u8]> {
    if !is_byte_vec::<T>() {
        return None;
    }
    let value: *const Vec<u8> = ptr::from_ref(value).cast();
    // SAFETY: `T` is `Vec<u8>`.
    Some(unsafe { &*value })
}

/// A vector of bytes as a `T`, which is the same.
#[inline]
pub(crate) fn from_byte_vec<T>(bytes: Vec<u8>) -> T {
    assert!(is_byte_vec::<T>(), "not a vector of bytes");
    let bytes = ManuallyDrop::new(bytes);
    // SAFETY: `T` is `Vec<u8>`, and the original is not used again.
    unsafe { mem::transmute_copy(&*bytes) }
}

/// The id of a type in which every lifetime is taken for `'static`. A type without
/// lifetimes has this id and no other type does.
#[inline]
fn erased_id<T: ?Sized>() -> TypeId {
    trait Identified {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }
    impl<T: ?Sized> Identified for PhantomData<T> {
        fn id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }
    type Erased = dyn Identified + 'static;
    let of: &dyn Identified = &PhantomData::<T>;
    // SAFETY: the two differ only in a lifetime, and what is called looks at no value.
    let of = unsafe { mem::transmute::<&dyn Identified, &Erased>(of) };
    of.id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_and_nothing_else_is() {
        fn is_plain<'a, T: 'a>(_: &'a str) -> bool {
            Plain::<T>::of().is_some()
        }
        let here = String::new();
        assert!(is_plain::<u8>(&here) && is_plain::<f64>(&here));
        assert!(is_plain::<usize>(&here) && is_plain::<i128>(&here));
        // Not every byte makes one of these.
        assert!(!is_plain::<bool>(&here) && !is_plain::<char>(&here));
        assert!(!is_plain::<&str>(&here) && !is_plain::<&u64>(&here));
        assert!(!is_plain::<(u64,)>(&here) && !is_plain::<[u64; 1]>(&here));
        assert!(!is_plain::<std::num::NonZero<u64>>(&here));
        assert!(!is_plain::<PhantomData<&u64>>(&here));
    }

    #[test]
    fn vectors_of_bytes_are_told_from_all_else() {
        let bytes = vec![1, 2, 3_u8];
        assert_eq!(as_byte_vec(&bytes), Some(&[1, 2, 3][..]));
        assert_eq!(from_byte_vec::<Vec<u8>>(bytes), [1, 2, 3]);
        assert_eq!(as_byte_vec(&vec![1_i8]), None);
        assert_eq!(as_byte_vec(&vec![&1_u8]), None);
        assert_eq!(as_byte_vec(&[1_u8][..]), None);
        assert_eq!(as_byte_vec("text"), None);
    }

    #[test]
    fn a_number_is_made_of_its_bytes_wherever_they_lie() {
        let plain = Plain::<u32>::of().unwrap();
        let numbers = [1, u32::MAX, 0x0102_0304];
        let mut bytes = vec![0];
        bytes.extend_from_slice(plain.bytes(&numbers));
        let read: Vec<_> = bytes[1..].chunks(4).map(|b| plain.number(b)).collect();
        assert_eq!(read, numbers);
    }
}
