//! When Python calls two values equal, which of them is less, and what can be a key.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use super::value::{Exception, Value};

/// A value as a dictionary's key: equal and hashed as in Python, so that `1`, `1.0` and
/// `True` are one key.
#[derive(Debug, Clone)]
pub(in crate::managers) struct Key(Value);

impl Key {
    /// # Errors
    ///
    /// `TypeError` for what can change.
    pub(in crate::managers) fn new(value: Value) -> Result<Self, Exception> {
        match unhashable(&value) {
            None => Ok(Self(value)),
            Some(name) => {
                Err(Exception::type_error(format!("unhashable type: '{name}'")))
            }
        }
    }

    pub(in crate::managers) fn value(&self) -> &Value {
        &self.0
    }

    pub(in crate::managers) fn into_value(self) -> Value {
        self.0
    }
}

fn unhashable(value: &Value) -> Option<&str> {
    match value {
        Value::List(_) | Value::Dict(_) | Value::Set(_) | Value::ByteArray(_) => {
            Some(value.type_name())
        }
        Value::Tuple(items) => items.iter().find_map(unhashable),
        _ => None,
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        Member(&self.0) == Member(&other.0)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

/// A value as a set or a dictionary finds it. It may be one that Python cannot hash: a
/// message may hold what no Python would make.
struct Member<'a>(&'a Value);

impl PartialEq for Member<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            // Python finds a NaN by its identity; here there is but one.
            (Value::Float(a), Value::Float(b)) if a.is_nan() => b.is_nan(),
            (a, b) => equals(a, b),
        }
    }
}

impl Eq for Member<'_> {}

impl Hash for Member<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.0, state);
    }
}

/// Makes the hashes of the members of sets, which nobody outside can foresee.
static OF_MEMBERS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Equal values hash alike.
fn hash<H: Hasher>(value: &Value, state: &mut H) {
    let all = |items: &[Value], state: &mut H| {
        items.len().hash(state);
        for item in items {
            hash(item, state);
        }
    };
    match value {
        Value::Bool(value) => i64::from(*value).hash(state),
        Value::Int(value) => value.hash(state),
        Value::Float(value) => match whole(*value) {
            Some(value) => value.hash(state),
            None if value.is_nan() => f64::NAN.to_bits().hash(state),
            None => value.to_bits().hash(state),
        },
        Value::BigInt(value) => value.hash(state),
        Value::Str(value) => value.hash(state),
        Value::Bytes(value) | Value::ByteArray(value) => value.hash(state),
        Value::Tuple(items) | Value::List(items) => all(items, state),
        // In any order.
        Value::Set(items) | Value::FrozenSet(items) => {
            let sum = items.iter().fold(0_u64, |sum, item| {
                sum.wrapping_add(OF_MEMBERS.hash_one(Member(item)))
            });
            sum.hash(state);
        }
        Value::Dict(entries) => entries.len().hash(state),
        Value::Object(object) => {
            object.name.hash(state);
            all(&object.args, state);
            if let Some(value) = &object.state {
                hash(value, state);
            }
        }
        Value::Exception(exception) => {
            exception.name().hash(state);
            all(exception.args(), state);
        }
        Value::Token(token) => token.ident.hash(state),
        Value::Proxy(proxy) => proxy.token.ident.hash(state),
        Value::None => {}
    }
}

/// The `i64` that a float equals.
fn whole(value: f64) -> Option<i64> {
    // 2^63 itself is one too many.
    let fits =
        (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
    (fits && value.fract() == 0.0).then_some(value as i64)
}

/// Python's `a == b`.
pub(in crate::managers) fn equal(a: &Value, b: &Value) -> Result<bool, Exception> {
    Ok(equals(a, b))
}

/// Python's `a < b`.
///
/// # Errors
///
/// `TypeError` if Python cannot compare them.
pub(in crate::managers) fn is_less(a: &Value, b: &Value) -> Result<bool, Exception> {
    Ok(compare(a, b)? == Some(Ordering::Less))
}

fn equals(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Tuple(a), Value::Tuple(b)) | (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equals(a, b))
        }
        (
            Value::Bytes(a) | Value::ByteArray(a),
            Value::Bytes(b) | Value::ByteArray(b),
        ) => a == b,
        (
            Value::Set(a) | Value::FrozenSet(a),
            Value::Set(b) | Value::FrozenSet(b),
        ) => {
            a.len() == b.len() && {
                let b: HashSet<_> = b.iter().map(Member).collect();
                a.iter().all(|item| b.contains(&Member(item)))
            }
        }
        (Value::Dict(a), Value::Dict(b)) => {
            a.len() == b.len() && {
                let b: HashMap<_, _> =
                    b.iter().map(|(key, value)| (Member(key), value)).collect();
                a.iter().all(|(key, value)| {
                    b.get(&Member(key))
                        .is_some_and(|other| equals(value, other))
                })
            }
        }
        _ => match numbers(a, b) {
            Some((a, b)) => a.compare(b) == Some(Ordering::Equal),
            None => a == b,
        },
    }
}

/// Python's `a < b` and `a > b`; nothing for NaN.
///
/// # Errors
///
/// `TypeError` where Python cannot compare them.
fn compare(a: &Value, b: &Value) -> Result<Option<Ordering>, Exception> {
    if let Some((a, b)) = numbers(a, b) {
        return Ok(a.compare(b));
    }
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Ok(Some(a.cmp(b))),
        (
            Value::Bytes(a) | Value::ByteArray(a),
            Value::Bytes(b) | Value::ByteArray(b),
        ) => Ok(Some(a.cmp(b))),
        (Value::Tuple(a), Value::Tuple(b)) | (Value::List(a), Value::List(b)) => {
            for (a, b) in a.iter().zip(b) {
                if !equals(a, b) {
                    return compare(a, b);
                }
            }
            Ok(Some(a.len().cmp(&b.len())))
        }
        (a, b) => Err(Exception::type_error(format!(
            "'<' not supported between instances of '{}' and '{}'",
            a.type_name(),
            b.type_name()
        ))),
    }
}

/// Both of them, if both are numbers.
fn numbers(a: &Value, b: &Value) -> Option<(Number, Number)> {
    Some((Number::new(a)?, Number::new(b)?))
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    fn new(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Int(i64::from(*value)),
            Value::Int(value) => Self::Int(*value),
            Value::Float(value) => Self::Float(*value),
            _ => return None,
        })
    }

    /// Their order; nothing if one is NaN.
    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Float(b)) => compare_exactly(a, b),
            (Self::Float(a), Self::Int(b)) => {
                compare_exactly(b, a).map(Ordering::reverse)
            }
        }
    }
}

/// Without the rounding of a plain conversion.
fn compare_exactly(a: i64, b: f64) -> Option<Ordering> {
    match whole(b.trunc()) {
        Some(whole) if whole == a => 0.0_f64.partial_cmp(&b.fract()),
        Some(whole) => Some(a.cmp(&whole)),
        None => 0.0_f64.partial_cmp(&b),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::value::Object;
    use super::*;

    fn hash_of(value: Value) -> u64 {
        OF_MEMBERS.hash_one(Member(&value))
    }

    fn date(day: i64) -> Value {
        Object::call("datetime", "date", vec![day.into()])
    }

    #[test]
    fn equal_values_hash_alike() {
        for (a, b) in [
            (Value::from(1), Value::from(1.0)),
            (Value::from(1), Value::from(true)),
            (Value::from(0.0), Value::from(-0.0)),
            (date(1), date(1)),
            (
                Value::FrozenSet(vec![1.into(), "a".into()]),
                Value::FrozenSet(vec!["a".into(), 1.0.into()]),
            ),
        ] {
            assert!(equals(&a, &b), "{a:?} {b:?}");
            assert_eq!(hash_of(a), hash_of(b));
        }
    }

    #[test]
    fn different_values_of_every_kind_hash_differently() {
        let frozen = |n: i64| Value::FrozenSet(vec![n.into()]);
        for kind in [date, frozen] {
            let hashes: HashSet<_> = (0..1000).map(|n| hash_of(kind(n))).collect();
            assert_eq!(hashes.len(), 1000);
        }
        assert_ne!(hash_of(date(1)), hash_of(Value::from((1,))));
    }

    #[test]
    fn big_sets_and_dicts_are_soon_compared() {
        let set = |n: i64| Value::Set((0..n).map(Value::from).collect());
        let count = 100_000;
        assert!(equals(&set(count), &set(count)));
        assert!(!equals(&set(count), &set(count - 1)));
        let dict = |last: i64| {
            let entries = (0..count).map(|n| (n.into(), n.into()));
            Value::Dict(entries.chain([((-1).into(), last.into())]).collect())
        };
        assert!(equals(&dict(1), &dict(1)));
        assert!(!equals(&dict(1), &dict(2)));
    }
}
