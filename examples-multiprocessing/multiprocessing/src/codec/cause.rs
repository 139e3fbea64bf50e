//! What postcard lacks: why a value could not be encoded or decoded, in the words of its
//! own `Serialize` or `Deserialize`, and a bound on what takes no bytes.
//!
//! postcard keeps no text of an error. So a value that it fails to encode is gone through a
//! second time by a serializer here, which refuses the same but keeps the text. A value is
//! decoded only once, by a deserializer that is wrapped around postcard's: handles in the
//! value can be taken only once.

use std::cell::Cell;
use std::fmt::{self, Display};

use postcard::de_flavors::{Flavor, Slice};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, Visitor};
use serde::ser::{self, Serialize, Serializer};

/// Why the value cannot be encoded; nothing if it could be this time.
pub(super) fn of_encoding<T: Serialize + ?Sized>(value: &T) -> Option<String> {
    value.serialize(Discard).err().map(|cause| *cause.0)
}

/// The most items without bytes, such as `()`, that a message may have. Their number is
/// all that is sent of them: without a bound, a message of ten bytes takes years.
const MOST_WITHOUT_BYTES: usize = 1 << 20;

/// Decodes the value at the front of `bytes`, or says why it cannot be decoded. Returns
/// the bytes behind it, too.
#[inline]
pub(super) fn decode_front<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
) -> Result<(T, &'de [u8]), String> {
    let state = &State {
        cause: Cell::new(None),
        items: Cell::new(bytes.len().saturating_add(MOST_WITHOUT_BYTES)),
    };
    let mut postcard = postcard::Deserializer::from_flavor(Bytes(Slice::new(bytes)));
    let inner = &mut postcard;
    let value = T::deserialize(Keep { inner, state }).map_err(|cause| *cause.0)?;
    let rest = postcard.finalize().map_err(|error| error.to_string())?;
    Ok((value, rest))
}

/// The bytes that are not decoded yet. Unlike postcard's own flavor, this one gives no hint
/// of their number, so that a sequence's hint is always the length that it claims.
struct Bytes<'de>(Slice<'de>);

impl<'de> Flavor<'de> for Bytes<'de> {
    type Remainder = &'de [u8];
    type Source = ();

    #[inline]
    fn pop(&mut self) -> postcard::Result<u8> {
        self.0.pop()
    }

    #[inline]
    fn try_take_n(&mut self, n: usize) -> postcard::Result<&'de [u8]> {
        self.0.try_take_n(n)
    }

    #[inline]
    fn finalize(self) -> postcard::Result<&'de [u8]> {
        self.0.finalize()
    }
}

/// What is known of a message while it is decoded.
struct State {
    /// The text of an error that is on its way through postcard.
    cause: Cell<Option<String>>,
    /// The number of items that its sequences and maps may still claim. Items that have
    /// bytes never use it up: each has a byte that is no other item's.
    items: Cell<usize>,
}

impl State {
    /// Accepts a sequence or map that claims to have this many items.
    #[inline]
    fn claim(&self, items: Option<usize>) -> Result<(), Cause> {
        let left = self.items.get().checked_sub(items.unwrap_or(0));
        let left = left.ok_or_else(|| {
            de::Error::custom("it claims more items than there are bytes for")
        })?;
        self.items.set(left);
        Ok(())
    }
}

/// An error that is nothing but its text: one word, so that a value is returned in
/// registers in spite of it.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "a text of its own has three words")]
struct Cause(Box<String>);

impl Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

impl ser::Error for Cause {
    fn custom<T: Display>(text: T) -> Self {
        Self(Box::new(text.to_string()))
    }
}

impl de::Error for Cause {
    fn custom<T: Display>(text: T) -> Self {
        Self(Box::new(text.to_string()))
    }
}

/// Serialises into nothing, and refuses what postcard refuses.
struct Discard;

macro_rules! discard {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, _: $type) -> Result<(), Cause> {
            Ok(())
        })*
    };
}

impl Serializer for Discard {
    type Ok = ();
    type Error = Cause;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    discard!(
        serialize_bool: bool, serialize_char: char, serialize_str: &str,
        serialize_bytes: &[u8], serialize_f32: f32, serialize_f64: f64,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8,
        serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_u128: u128, serialize_unit_struct: &'static str
    );

    fn serialize_none(self) -> Result<(), Cause> {
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Cause> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Cause> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), Cause> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Cause> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Cause> {
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Cause> {
        known(length, "a sequence")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Cause> {
        Ok(self)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Cause> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Cause> {
        Ok(self)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self, Cause> {
        known(length, "a map")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Cause> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Cause> {
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

fn known(length: Option<usize>, what: &str) -> Result<Discard, Cause> {
    match length {
        Some(_) => Ok(Discard),
        None => Err(ser::Error::custom(format_args!(
            "{what} must know its length beforehand"
        ))),
    }
}

macro_rules! discard_parts {
    ($($trait:ident: $method:ident($($key:ident)?)),*) => {
        $(impl ser::$trait for Discard {
            type Ok = ();
            type Error = Cause;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: &'static str,)?
                value: &T,
            ) -> Result<(), Cause> {
                value.serialize(Discard)
            }

            fn end(self) -> Result<(), Cause> {
                Ok(())
            }
        })*
    };
}

discard_parts!(
    SerializeSeq: serialize_element(),
    SerializeTuple: serialize_element(),
    SerializeTupleStruct: serialize_field(),
    SerializeTupleVariant: serialize_field(),
    SerializeStruct: serialize_field(_key),
    SerializeStructVariant: serialize_field(_key)
);

impl ser::SerializeMap for Discard {
    type Ok = ();
    type Error = Cause;

    fn serialize_key<T: Serialize + ?Sized>(
        &mut self,
        key: &T,
    ) -> Result<(), Cause> {
        key.serialize(Self)
    }

    fn serialize_value<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> Result<(), Cause> {
        value.serialize(Self)
    }

    fn end(self) -> Result<(), Cause> {
        Ok(())
    }
}

/// What serde's decoding is made of (a deserializer, a visitor, an access or a seed), so
/// wrapped that the text of an error is kept while the error passes through postcard.
struct Keep<'a, T> {
    inner: T,
    state: &'a State,
}

impl<'a, T> Keep<'a, T> {
    #[inline]
    fn wrap<U>(&self, inner: U) -> Keep<'a, U> {
        let state = self.state;
        Keep { inner, state }
    }
}

/// An error on its way into postcard: its text stays here.
#[inline]
fn into_inner<R, E: de::Error>(
    state: &State,
    result: Result<R, Cause>,
) -> Result<R, E> {
    result.map_err(|Cause(text)| {
        let text = *text;
        let error = E::custom(&text);
        state.cause.set(Some(text));
        error
    })
}

/// An error on its way out of postcard: it gets its text back, or keeps its own.
#[inline]
fn out_of_inner<R, E: Display>(
    state: &State,
    result: Result<R, E>,
) -> Result<R, Cause> {
    result.map_err(|error| {
        Cause(Box::new(
            state.cause.take().unwrap_or_else(|| error.to_string()),
        ))
    })
}

macro_rules! forward_deserializer {
    ($($method:ident($($argument:ident: $type:ty),*)),*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(
            self,
            $($argument: $type,)*
            visitor: V,
        ) -> Result<V::Value, Cause> {
            let visitor = self.wrap(visitor);
            let result = self.inner.$method($($argument,)* visitor);
            out_of_inner(self.state, result)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Keep<'_, D> {
    type Error = Cause;

    forward_deserializer!(
        deserialize_any(), deserialize_bool(), deserialize_i8(), deserialize_i16(),
        deserialize_i32(), deserialize_i64(), deserialize_i128(), deserialize_u8(),
        deserialize_u16(), deserialize_u32(), deserialize_u64(), deserialize_u128(),
        deserialize_f32(), deserialize_f64(), deserialize_char(), deserialize_str(),
        deserialize_string(), deserialize_bytes(), deserialize_byte_buf(),
        deserialize_option(), deserialize_unit(),
        deserialize_unit_struct(name: &'static str),
        deserialize_newtype_struct(name: &'static str),
        deserialize_tuple(length: usize),
        deserialize_tuple_struct(name: &'static str, length: usize),
        deserialize_map(),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
        deserialize_identifier(), deserialize_ignored_any()
    );

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, Cause> {
        let visitor = Sequence(self.wrap(visitor));
        out_of_inner(self.state, self.inner.deserialize_seq(visitor))
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! forward_visitor {
    ($($method:ident($($value:ident: $type:ty)?)),*) => {
        $(#[inline]
        fn $method<E: de::Error>(
            self,
            $($value: $type,)?
        ) -> Result<Self::Value, E> {
            into_inner(self.state, self.inner.$method($($value)?))
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Keep<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    forward_visitor!(
        visit_bool(value: bool), visit_char(value: char), visit_f32(value: f32),
        visit_f64(value: f64), visit_i8(value: i8), visit_i16(value: i16),
        visit_i32(value: i32), visit_i64(value: i64), visit_i128(value: i128),
        visit_u8(value: u8), visit_u16(value: u16), visit_u32(value: u32),
        visit_u64(value: u64), visit_u128(value: u128), visit_str(value: &str),
        visit_borrowed_str(value: &'de str), visit_string(value: String),
        visit_bytes(value: &[u8]), visit_borrowed_bytes(value: &'de [u8]),
        visit_byte_buf(value: Vec<u8>), visit_none(), visit_unit()
    );

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<V::Value, D::Error> {
        let value = self.wrap(d);
        into_inner(self.state, self.inner.visit_some(value))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        d: D,
    ) -> Result<V::Value, D::Error> {
        let value = self.wrap(d);
        into_inner(self.state, self.inner.visit_newtype_struct(value))
    }

    #[inline]
    fn visit_seq<A: de::SeqAccess<'de>>(
        self,
        access: A,
    ) -> Result<V::Value, A::Error> {
        let access = self.wrap(access);
        into_inner(self.state, self.inner.visit_seq(access))
    }

    #[inline]
    fn visit_map<A: de::MapAccess<'de>>(
        self,
        access: A,
    ) -> Result<V::Value, A::Error> {
        let claimed = self.state.claim(access.size_hint());
        into_inner(self.state, claimed)?;
        let access = self.wrap(access);
        into_inner(self.state, self.inner.visit_map(access))
    }

    #[inline]
    fn visit_enum<A: de::EnumAccess<'de>>(
        self,
        access: A,
    ) -> Result<V::Value, A::Error> {
        let access = self.wrap(access);
        into_inner(self.state, self.inner.visit_enum(access))
    }
}

/// The visitor of a sequence whose length is part of the message, unlike a tuple's.
struct Sequence<'a, V>(Keep<'a, V>);

impl<'de, V: Visitor<'de>> Visitor<'de> for Sequence<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    #[inline]
    fn visit_seq<A: de::SeqAccess<'de>>(
        self,
        access: A,
    ) -> Result<V::Value, A::Error> {
        let state = self.0.state;
        into_inner(state, state.claim(access.size_hint()))?;
        self.0.visit_seq(access)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Keep<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<S::Value, D::Error> {
        let deserializer = self.wrap(d);
        into_inner(self.state, self.inner.deserialize(deserializer))
    }
}

impl<'de, A: de::SeqAccess<'de>> de::SeqAccess<'de> for Keep<'_, A> {
    type Error = Cause;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Cause> {
        let seed = self.wrap(seed);
        out_of_inner(self.state, self.inner.next_element_seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: de::MapAccess<'de>> de::MapAccess<'de> for Keep<'_, A> {
    type Error = Cause;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Cause> {
        let seed = self.wrap(seed);
        out_of_inner(self.state, self.inner.next_key_seed(seed))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, Cause> {
        let seed = self.wrap(seed);
        out_of_inner(self.state, self.inner.next_value_seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'a, 'de, A: de::EnumAccess<'de>> de::EnumAccess<'de> for Keep<'a, A> {
    type Error = Cause;
    type Variant = Keep<'a, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), Cause> {
        let (seed, state) = (self.wrap(seed), self.state);
        let result = self.inner.variant_seed(seed);
        let (value, inner) = out_of_inner(state, result)?;
        Ok((value, Keep { inner, state }))
    }
}

impl<'de, A: de::VariantAccess<'de>> de::VariantAccess<'de> for Keep<'_, A> {
    type Error = Cause;

    #[inline]
    fn unit_variant(self) -> Result<(), Cause> {
        out_of_inner(self.state, self.inner.unit_variant())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, Cause> {
        let seed = self.wrap(seed);
        out_of_inner(self.state, self.inner.newtype_variant_seed(seed))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Cause> {
        let visitor = self.wrap(visitor);
        out_of_inner(self.state, self.inner.tuple_variant(length, visitor))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Cause> {
        let visitor = self.wrap(visitor);
        out_of_inner(self.state, self.inner.struct_variant(fields, visitor))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::de::DeserializeOwned;

    use super::super::{append, encode, take_front};
    use super::*;

    /// Does not travel: refuses to be encoded if odd, and to be decoded if even.
    #[derive(Debug, Clone, PartialEq)]
    struct Stays(u8);

    impl Serialize for Stays {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            if self.0 % 2 == 1 {
                return Err(ser::Error::custom(format!("{} stays", self.0)));
            }
            self.0.serialize(s)
        }
    }

    impl<'de> Deserialize<'de> for Stays {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            let n = u8::deserialize(d)?;
            Err(de::Error::custom(format!("{n} does not arrive")))
        }
    }

    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Deep {
        Unit,
        New(Stays),
        Tuple(i8, Option<Stays>),
        Struct { name: String, stays: Vec<Stays> },
    }

    fn deep(n: u8) -> [Deep; 3] {
        [
            Deep::New(Stays(n)),
            Deep::Tuple(-1, Some(Stays(n))),
            Deep::Struct {
                name: "deep".into(),
                stays: vec![Stays(n)],
            },
        ]
    }

    #[test]
    fn the_text_of_a_refusal_to_be_encoded_is_kept_at_any_depth() {
        for value in deep(7) {
            let map = BTreeMap::from([(1, ('x', [value]))]);
            let error = encode(&map).unwrap_err();
            let expected = "the value cannot be encoded: 7 stays";
            assert_eq!(error.to_string(), expected);
        }
        let mut bytes = vec![5];
        append(&Stays(7), &mut bytes).unwrap_err();
        assert_eq!(bytes, [5], "nothing of it is left");
    }

    #[test]
    fn the_text_of_a_refusal_to_be_decoded_is_kept_at_any_depth() {
        for value in deep(8) {
            let map = BTreeMap::from([(1_u16, ('x', 0.5_f64, (), [value]))]);
            let bytes = encode(&map).unwrap();
            let error =
                decoding_error::<BTreeMap<u16, (char, f64, (), [Deep; 1])>>(&bytes);
            assert!(error.ends_with(": 8 does not arrive"), "{error}");
        }
    }

    fn decoding_error<T: DeserializeOwned>(mut bytes: &[u8]) -> String {
        // The value may be too large to be shown.
        let error = take_front::<T>(&mut bytes).err();
        error.expect("a value was decoded").to_string()
    }

    #[test]
    fn the_reasons_of_serde_and_of_postcard_are_kept() {
        let error = decoding_error::<std::num::NonZeroU8>(&[0]);
        assert!(error.contains("nonzero"), "{error}");
        let error = decoding_error::<Deep>(&[9]);
        assert!(error.contains("variant index"), "{error}");
        let error = decoding_error::<(u8, String)>(&[1, 3, b'x']);
        assert!(error.contains("end of buffer"), "{error}");
        assert!(take_front::<Deep>(&mut &[0][..]) == Ok(Deep::Unit));
    }

    #[test]
    #[expect(clippy::zero_sized_map_values, reason = "it is what is asked about")]
    fn items_without_bytes_are_bounded() {
        let claim = |items: u64| encode(&items).unwrap();
        // Without a bound, 2^60 items take years; with 2^22 the test fails instead.
        let error = decoding_error::<Vec<()>>(&claim(1 << 22));
        assert!(error.contains("more items than"), "{error}");
        decoding_error::<BTreeMap<(), ()>>(&claim(1 << 22));
        let many = vec![claim(1 << 20); 4];
        decoding_error::<Vec<Vec<()>>>(&[claim(4), many.concat()].concat());

        let most = MOST_WITHOUT_BYTES;
        let few = take_front::<Vec<()>>(&mut &*encode(&vec![(); most]).unwrap());
        assert_eq!(few.map(|items| items.len()), Ok(most));
    }

    #[test]
    fn items_with_bytes_are_not_bounded() {
        // Deep in tuples, which have no bytes of their own, and sequences in sequences.
        type Item = ((((u8,),),), [Vec<u8>; 1], BTreeMap<u8, u8>);
        let item: Item = ((((1,),),), [vec![0; 20]], [(1, 1)].into());
        let items = vec![item; MOST_WITHOUT_BYTES / 8];
        let bytes = encode(&items).unwrap();
        assert!(take_front::<Vec<Item>>(&mut &*bytes).is_ok_and(|got| got == items));
    }

    #[test]
    fn a_sequence_must_know_its_length() {
        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                ser::SerializeSeq::end(s.serialize_seq(None)?)
            }
        }
        let error = encode(&Endless).unwrap_err().to_string();
        assert!(
            error.ends_with("must know its length beforehand"),
            "{error}"
        );
    }
}
