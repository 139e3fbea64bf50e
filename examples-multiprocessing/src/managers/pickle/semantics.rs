//! When Python calls two values equal, which of them is less, and what can be a key.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

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
        match (&self.0, &other.0) {
            // Python finds a NaN by its identity; here there is but one.
            (Value::Float(a), Value::Float(b)) if a.is_nan() => b.is_nan(),
            (a, b) => equal(a, b),
        }
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

/// Equal values hash alike. Values that are merely hard to hash all hash alike too.
fn hash<H: Hasher>(value: &Value, state: &mut H) {
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
        Value::Bytes(value) => value.hash(state),
        Value::Tuple(items) => items.iter().for_each(|item| hash(item, state)),
        Value::FrozenSet(items) => items.len().hash(state),
        _ => {}
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
pub(in crate::managers) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Tuple(a), Value::Tuple(b)) | (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (
            Value::Bytes(a) | Value::ByteArray(a),
            Value::Bytes(b) | Value::ByteArray(b),
        ) => a == b,
        (
            Value::Set(a) | Value::FrozenSet(a),
            Value::Set(b) | Value::FrozenSet(b),
        ) => {
            a.len() == b.len()
                && a.iter()
                    .all(|item| b.iter().any(|other| equal(item, other)))
        }
        (Value::Dict(a), Value::Dict(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| {
                    b.iter().any(|(other_key, other)| {
                        equal(key, other_key) && equal(value, other)
                    })
                })
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
pub(in crate::managers) fn compare(
    a: &Value,
    b: &Value,
) -> Result<Option<Ordering>, Exception> {
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
                if !equal(a, b) {
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
