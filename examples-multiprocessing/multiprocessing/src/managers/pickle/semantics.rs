//! When Python calls two values equal, which of them is less, and what can be a key.
//!
//! What can be a key is compared by its fingerprint, which all equal values share: `1`,
//! `1.0`, `True` and `Decimal('1')`. Lists, dicts and the like are compared part by part.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Exception;
use super::array;
use super::number::Number;
use super::temporal::Temporal;
use super::value::{Object, Value};
use super::work;

/// A value as a dictionary's key, equal and hashed as in Python.
#[derive(Debug, Clone)]
pub(in crate::managers) struct Key {
    value: Value,
    fingerprint: u128,
}

impl Key {
    /// # Errors
    ///
    /// `TypeError` for what Python cannot hash, `TimeoutError` for what takes too long.
    pub(in crate::managers) fn new(value: Value) -> Result<Self, Exception> {
        let fingerprint = fingerprint(&value)?;
        Ok(Self { value, fingerprint })
    }

    pub(in crate::managers) fn value(&self) -> &Value {
        &self.value
    }

    pub(in crate::managers) fn into_value(self) -> Value {
        self.value
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

/// Two keyed hashes, whose keys no other program knows: values that are not equal do not
/// share both.
struct Fingerprint([DefaultHasher; 2]);

static HASHERS: LazyLock<[RandomState; 2]> =
    LazyLock::new(|| [RandomState::new(), RandomState::new()]);

impl Fingerprint {
    fn new() -> Self {
        Self([HASHERS[0].build_hasher(), HASHERS[1].build_hasher()])
    }

    fn of(content: impl Hash) -> u128 {
        let mut state = Self::new();
        content.hash(&mut state);
        state.value()
    }

    /// That of a value which equals no other, not even a copy of itself.
    fn unique() -> u128 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self::of((Kind::Unique, LAST.fetch_add(1, Relaxed)))
    }

    fn value(&self) -> u128 {
        let [high, low] = [&self.0[0], &self.0[1]].map(Hasher::finish);
        u128::from(high) << 64 | u128::from(low)
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for hasher in &mut self.0 {
            hasher.write(bytes);
        }
    }

    fn finish(&self) -> u64 {
        self.0[0].finish()
    }
}

/// Values of different kinds are never equal.
#[derive(Hash)]
enum Kind {
    None,
    Number,
    Str,
    Bytes,
    Tuple,
    Set,
    Temporal,
    Uuid,
    Range,
    Class,
    Unique,
}

/// What all values share that Python calls equal to this one.
fn fingerprint(value: &Value) -> Result<u128, Exception> {
    work::step(0)?;
    Ok(match value {
        Value::None => Fingerprint::of(Kind::None),
        Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_) => {
            number_fingerprint(value)?
        }
        Value::Str(text) => {
            work::step(text.len())?;
            Fingerprint::of((Kind::Str, text))
        }
        Value::Bytes(bytes) => {
            work::step(bytes.len())?;
            Fingerprint::of((Kind::Bytes, bytes))
        }
        Value::Tuple(items) => {
            let mut state = Fingerprint::new();
            (Kind::Tuple, items.len()).hash(&mut state);
            for item in items {
                fingerprint(item)?.hash(&mut state);
            }
            state.value()
        }
        Value::FrozenSet(items) => Fingerprint::of((Kind::Set, unordered(items)?)),
        Value::List(_) | Value::Dict(_) | Value::Set(_) | Value::ByteArray(_) => {
            return Err(unhashable(value));
        }
        Value::Object(object) => return object_fingerprint(object, value),
        // These equal only themselves, and a pickle makes copies.
        Value::Exception(_) | Value::Token(_) | Value::Proxy(_) => {
            Fingerprint::unique()
        }
    })
}

fn unhashable(value: &Value) -> Exception {
    Exception::type_error(format!("unhashable type: '{}'", value.type_name()))
}

fn number_fingerprint(value: &Value) -> Result<u128, Exception> {
    let identity = Number::new(value)?.and_then(Number::identity);
    Ok(identity.map_or_else(Fingerprint::unique, |identity| {
        Fingerprint::of((Kind::Number, identity))
    }))
}

/// The sum of the members' fingerprints: their order does not matter.
fn unordered(items: &[Value]) -> Result<u128, Exception> {
    let mut sum = items.len() as u128;
    for item in items {
        sum = sum.wrapping_add(fingerprint(item)?);
    }
    Ok(sum)
}

fn object_fingerprint(object: &Object, value: &Value) -> Result<u128, Exception> {
    if object.is_class() {
        return Ok(Fingerprint::of((Kind::Class, object.module, object.name)));
    }
    if let Some(temporal) = Temporal::new(object) {
        return Ok(Fingerprint::of((Kind::Temporal, temporal.identity())));
    }
    Ok(match object.name {
        "complex" | "Decimal" | "Fraction" => number_fingerprint(value)?,
        "UUID" => match uuid(object) {
            Some(number) => Fingerprint::of((Kind::Uuid, fingerprint(number)?)),
            None => Fingerprint::unique(),
        },
        "range" => match range(object) {
            Some(identity) => Fingerprint::of((Kind::Range, identity)),
            None => Fingerprint::unique(),
        },
        "array" | "slice" | "deque" | "OrderedDict" | "defaultdict" | "Counter" => {
            return Err(unhashable(value));
        }
        _ => Fingerprint::unique(),
    })
}

/// The number of a UUID.
pub(super) fn uuid(object: &Object) -> Option<&Value> {
    let Some(Value::Dict(state)) = &object.state else {
        return None;
    };
    let int = Value::Str("int".into());
    state
        .iter()
        .find_map(|(key, value)| (*key == int).then_some(value))
}

/// What equal ranges share: length, first and step, as far as they matter.
type RangeIdentity = (u128, Option<i64>, Option<i64>);

fn range(object: &Object) -> Option<RangeIdentity> {
    let &[Value::Int(begin), Value::Int(end), Value::Int(step)] =
        object.args.as_slice()
    else {
        return None;
    };
    let distance = i128::from(end) - i128::from(begin);
    let length = match step.cmp(&0) {
        Ordering::Greater if distance > 0 => (distance - 1) / i128::from(step) + 1,
        Ordering::Less if distance < 0 => (distance + 1) / i128::from(step) + 1,
        Ordering::Equal => return None,
        _ => 0,
    };
    Some((
        length.unsigned_abs(),
        (length > 0).then_some(begin),
        (length > 1).then_some(step),
    ))
}

/// The members of a set or the keys of a dict once each: the first of equal ones.
///
/// # Errors
///
/// Those of [`Key::new`].
pub(super) fn places_of_first(items: &[&Value]) -> Result<Vec<usize>, Exception> {
    let mut seen = HashSet::with_capacity(items.len());
    let mut places = Vec::with_capacity(items.len());
    for item in items {
        places.push(match fingerprint(item)? {
            fingerprint if seen.insert(fingerprint) => seen.len() - 1,
            _ => usize::MAX,
        });
    }
    Ok(places)
}

/// Python's `a == b`.
///
/// # Errors
///
/// `TimeoutError` if that takes too long.
pub(in crate::managers) fn equal(a: &Value, b: &Value) -> Result<bool, Exception> {
    work::step(0)?;
    Ok(match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => {
            work::step(a.len().min(b.len()))?;
            a == b
        }
        (
            Value::Bytes(a) | Value::ByteArray(a),
            Value::Bytes(b) | Value::ByteArray(b),
        ) => {
            work::step(a.len().min(b.len()))?;
            a == b
        }
        // A bytearray looks at the memory of the other.
        (Value::ByteArray(a), Value::Object(b))
        | (Value::Object(b), Value::ByteArray(a))
            if array::element(b).is_some() =>
        {
            work::step(a.len())?;
            array::bytes(b) == Some(a.as_slice())
        }
        (Value::Tuple(a), Value::Tuple(b)) | (Value::List(a), Value::List(b)) => {
            all_equal(a, b)?
        }
        (
            Value::Set(a) | Value::FrozenSet(a),
            Value::Set(b) | Value::FrozenSet(b),
        ) => a.len() == b.len() && is_subset(a, b)?,
        (Value::Object(a), Value::Object(b)) if a.has_items() && b.has_items() => {
            all_equal(&a.items, &b.items)?
        }
        _ => match (Number::new(a)?, Number::new(b)?) {
            (Some(a), Some(b)) => a.equals(b)?,
            (None, None) => match (a.entries(), b.entries()) {
                (Some(c), Some(d)) => {
                    let ordered = a.is_ordered() && b.is_ordered();
                    mappings_equal(c, d, ordered)?
                }
                (None, None) => objects_equal(a, b)?,
                _ => false,
            },
            _ => false,
        },
    })
}

fn all_equal(a: &[Value], b: &[Value]) -> Result<bool, Exception> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (a, b) in a.iter().zip(b) {
        if !equal(a, b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_subset(a: &[Value], b: &[Value]) -> Result<bool, Exception> {
    let b: HashSet<u128> = b.iter().map(fingerprint).collect::<Result<_, _>>()?;
    for item in a {
        if !b.contains(&fingerprint(item)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

type Entry = (Value, Value);

fn mappings_equal(
    a: &[Entry],
    b: &[Entry],
    ordered: bool,
) -> Result<bool, Exception> {
    if a.len() != b.len() {
        return Ok(false);
    }
    let prints = |entries: &[Entry]| {
        let keys = entries.iter().map(|(key, _)| fingerprint(key));
        keys.collect::<Result<Vec<_>, _>>()
    };
    let (keys, others) = (prints(a)?, prints(b)?);
    if ordered && keys != others {
        return Ok(false);
    }
    let others = others.into_iter().zip(b.iter().map(|(_, value)| value));
    let others: std::collections::HashMap<_, _> = others.collect();
    for (key, (_, value)) in keys.iter().zip(a) {
        let Some(other) = others.get(key) else {
            return Ok(false);
        };
        if !equal(value, other)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn objects_equal(a: &Value, b: &Value) -> Result<bool, Exception> {
    let (Value::Object(object), Value::Object(other)) = (a, b) else {
        return Ok(false);
    };
    if object.is_class() || other.is_class() {
        return Ok(object.is_class()
            && other.is_class()
            && (object.module, object.name) == (other.module, other.name));
    }
    match (object.name, other.name) {
        ("array", "array") => match (array::items(object), array::items(other)) {
            (Some(a), Some(b)) => all_equal(&a, &b),
            _ => Ok(false),
        },
        ("slice", "slice") => all_equal(&object.args, &other.args),
        // These are either hashable or equal only themselves.
        _ => match (fingerprint(a), fingerprint(b)) {
            (Ok(a), Ok(b)) => Ok(a == b),
            (Err(error), _) | (_, Err(error)) if error.name() == "TimeoutError" => {
                Err(error)
            }
            _ => Ok(false),
        },
    }
}

/// Python's `a < b`.
///
/// # Errors
///
/// `TypeError` if Python cannot compare them, `TimeoutError` if it takes too long.
pub(in crate::managers) fn is_less(a: &Value, b: &Value) -> Result<bool, Exception> {
    work::step(0)?;
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => return Ok(a < b),
        (Value::Str(a), Value::Str(b)) => {
            work::step(a.len().min(b.len()))?;
            return Ok(a < b);
        }
        (
            Value::Bytes(a) | Value::ByteArray(a),
            Value::Bytes(b) | Value::ByteArray(b),
        ) => {
            work::step(a.len().min(b.len()))?;
            return Ok(a < b);
        }
        (Value::ByteArray(a), Value::Object(b)) if array::element(b).is_some() => {
            work::step(a.len())?;
            return Ok(Some(a.as_slice()) < array::bytes(b));
        }
        (Value::Object(a), Value::ByteArray(b)) if array::element(a).is_some() => {
            work::step(b.len())?;
            return Ok(array::bytes(a) < Some(b.as_slice()));
        }
        (Value::Tuple(a), Value::Tuple(b)) | (Value::List(a), Value::List(b)) => {
            return sequence_is_less(a, b);
        }
        (
            Value::Set(a) | Value::FrozenSet(a),
            Value::Set(b) | Value::FrozenSet(b),
        ) => return Ok(a.len() < b.len() && is_subset(a, b)?),
        _ => {}
    }
    if let (Some(first), Some(second)) = (Number::new(a)?, Number::new(b)?) {
        if first.is_complex() || second.is_complex() {
            return Err(cannot_compare(a, b));
        }
        if first.is_decimal_nan() || second.is_decimal_nan() {
            return Err(Exception::new("decimal", "InvalidOperation", Vec::new()));
        }
        return Ok(first.order(second)? == Some(Ordering::Less));
    }
    let (Value::Object(first), Value::Object(second)) = (a, b) else {
        return Err(cannot_compare(a, b));
    };
    if first.has_items() && second.has_items() {
        return sequence_is_less(&first.items, &second.items);
    }
    if let (Some(first), Some(second)) =
        (Temporal::new(first), Temporal::new(second))
    {
        return match first.order(&second) {
            Ok(Some(order)) => Ok(order == Ordering::Less),
            Ok(None) => Err(cannot_compare(a, b)),
            Err(message) => Err(Exception::type_error(message)),
        };
    }
    match (first.name, second.name) {
        ("array", "array") => match (array::items(first), array::items(second)) {
            (Some(first), Some(second)) => sequence_is_less(&first, &second),
            _ => Err(cannot_compare(a, b)),
        },
        ("slice", "slice") => sequence_is_less(&first.args, &second.args),
        ("UUID", "UUID") => match (uuid(first), uuid(second)) {
            (Some(first), Some(second)) => is_less(first, second),
            _ => Err(cannot_compare(a, b)),
        },
        _ => Err(cannot_compare(a, b)),
    }
}

fn sequence_is_less(a: &[Value], b: &[Value]) -> Result<bool, Exception> {
    for (a, b) in a.iter().zip(b) {
        if !equal(a, b)? {
            return is_less(a, b);
        }
    }
    Ok(a.len() < b.len())
}

fn cannot_compare(a: &Value, b: &Value) -> Exception {
    Exception::type_error(format!(
        "'<' not supported between instances of '{}' and '{}'",
        a.type_name(),
        b.type_name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Value {
        Object::call("decimal", "Decimal", vec![text.into()])
    }

    fn fraction(numerator: i64, denominator: i64) -> Value {
        let args = vec![numerator.into(), denominator.into()];
        Object::call("fractions", "Fraction", args)
    }

    fn complex(re: f64, im: f64) -> Value {
        Object::call("builtins", "complex", vec![re.into(), im.into()])
    }

    fn big(power_of_two: u32) -> Value {
        let mut bytes = vec![0; power_of_two as usize / 8 + 1];
        bytes[power_of_two as usize / 8] = 1 << (power_of_two % 8);
        bytes.push(0);
        super::super::value::int_from_bytes(&bytes)
    }

    fn date(year: u16, day: u8) -> Value {
        let [high, low] = year.to_be_bytes();
        let bytes = Value::Bytes(vec![high, low, 1, day].into());
        Object::call("datetime", "date", vec![bytes])
    }

    /// 1 January 2020 at this hour, this many hours east of Greenwich.
    fn datetime(hour: u8, east: i64) -> Value {
        let seconds = (east * 3600).rem_euclid(86_400);
        let days = (east * 3600).div_euclid(86_400);
        let args = vec![days.into(), seconds.into(), 0.into()];
        let delta = Object::call("datetime", "timedelta", args);
        let zone = Object::call("datetime", "timezone", vec![delta]);
        let bytes = vec![0x07, 0xe4, 1, 1, hour, 0, 0, 0, 0, 0];
        Object::call(
            "datetime",
            "datetime",
            vec![Value::Bytes(bytes.into()), zone],
        )
    }

    fn array(typecode: &str, bytes: &[u8]) -> Value {
        let bytes = Value::Bytes(bytes.to_vec().into());
        Object::call("array", "array", vec![typecode.into(), bytes])
    }

    fn range(begin: i64, end: i64, step: i64) -> Value {
        let args = vec![begin.into(), end.into(), step.into()];
        Object::call("builtins", "range", args)
    }

    #[test]
    fn equal_values_of_any_type_are_one_key() {
        let ones = || {
            vec![
                Value::from(1),
                Value::from(1.0),
                Value::from(true),
                decimal("1.00"),
                decimal("10E-1"),
                fraction(1, 1),
                complex(1.0, 0.0),
            ]
        };
        let halves = vec![0.5.into(), decimal("0.50"), fraction(1, 2)];
        let zeros = vec![0.into(), 0.0.into(), (-0.0).into(), decimal("-0E+5")];
        let large = vec![
            big(70),
            2_f64.powi(70).into(),
            decimal("1180591620717411303424"),
        ];
        let moments = vec![datetime(12, 0), datetime(13, 1), datetime(1, -11)];
        let empty = vec![range(0, 0, 1), range(5, 1, 2), range(1, 5, -1)];
        let sets = vec![
            Value::FrozenSet(vec![1.into(), "a".into()].into()),
            Value::FrozenSet(vec!["a".into(), decimal("1")].into()),
        ];
        let tuples = ones().into_iter().map(|one| Value::Tuple(vec![one].into()));
        for group in [
            ones(),
            halves,
            zeros,
            large,
            moments,
            empty,
            sets,
            tuples.collect(),
        ] {
            for a in &group {
                for b in &group {
                    assert!(equal(a, b).unwrap(), "{a:?} {b:?}");
                    let keys = (Key::new(a.clone()), Key::new(b.clone()));
                    assert!(keys.0.unwrap() == keys.1.unwrap(), "{a:?} {b:?}");
                    assert!(!is_less(a, b).unwrap_or(false), "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn values_that_are_not_equal_are_different_keys() {
        let values = [
            Value::None,
            "1".into(),
            Value::Bytes(b"1".to_vec().into()),
            1.into(),
            2.into(),
            (-1).into(),
            0.1.into(),
            decimal("0.1"),
            fraction(1, 10),
            fraction(1, 3),
            complex(1.0, 1.0),
            f64::INFINITY.into(),
            f64::NEG_INFINITY.into(),
            big(70),
            (1,).into(),
            date(2020, 1),
            date(2020, 2),
            datetime(12, 0),
            datetime(12, 1),
            range(0, 3, 1),
            Value::FrozenSet(vec![1.into()].into()),
            Value::FrozenSet(Vec::new().into()),
            // Python would call each unequal to its own copy.
            f64::NAN.into(),
            f64::NAN.into(),
            decimal("NaN"),
            Value::Exception(Exception::value_error("x").into()),
            Value::Exception(Exception::value_error("x").into()),
        ];
        for (place, a) in values.iter().enumerate() {
            for (other, b) in values.iter().enumerate() {
                // A tenth is a Decimal's and a Fraction's, but not a float's.
                let tenths = [7, 8].contains(&place) && [7, 8].contains(&other);
                if place != other && !tenths {
                    assert!(!equal(a, b).unwrap(), "{a:?} {b:?}");
                    let keys = (Key::new(a.clone()), Key::new(b.clone()));
                    assert!(keys.0.unwrap() != keys.1.unwrap(), "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn what_can_change_is_not_a_key() {
        for value in [
            Value::List(Vec::new().into()),
            Value::Dict(Vec::new().into()),
            Value::Set(Vec::new().into()),
            Value::ByteArray(Vec::new().into()),
            (vec![1],).into(),
            array("b", b"1"),
        ] {
            let refused = Key::new(value).unwrap_err();
            assert!(refused.to_string().contains("unhashable"), "{refused}");
        }
    }

    #[test]
    fn everything_that_python_orders_is_ordered() {
        let ascending = [
            vec![
                f64::NEG_INFINITY.into(),
                decimal("-1E+30"),
                (-5).into(),
                fraction(-9, 2),
                0.into(),
                decimal("1E-1000000"),
                5e-324.into(),
                0.1.into(),
                fraction(1, 3),
                decimal("0.34"),
                1.into(),
                big(70),
                decimal("1E+22"),
                1e300.into(),
                decimal("1E+999999999999"),
                f64::INFINITY.into(),
            ],
            vec![date(2019, 9), date(2020, 1), date(2020, 2)],
            vec![datetime(12, 1), datetime(12, 0), datetime(13, 0)],
            vec![
                Value::Set(Vec::new().into()),
                Value::Set(vec![1.into()].into()),
                Value::FrozenSet(vec![1.into(), 2.into()].into()),
            ],
            vec![
                Value::Bytes(vec![].into()),
                Value::ByteArray(vec![0].into()),
                Value::Bytes(vec![1].into()),
            ],
            vec![array("b", &[0xff]), array("B", &[1]), array("B", &[1, 0])],
            vec![(1, "a").into(), (1.0, "b").into(), (2, "a").into()],
        ];
        for values in ascending {
            for (place, a) in values.iter().enumerate() {
                for (other, b) in values.iter().enumerate() {
                    let less = is_less(a, b).unwrap();
                    assert_eq!(less, place < other, "{a:?} < {b:?}");
                }
            }
        }
    }

    #[test]
    fn the_types_that_do_not_compare_are_named() {
        for (a, b, names) in [
            (Value::from(1), Value::from("x"), "'int' and 'str'"),
            ((1, 2).into(), (1, "x").into(), "'int' and 'str'"),
            (complex(0.0, 1.0), 1.into(), "'complex' and 'int'"),
            (date(2020, 1), 1.into(), "'datetime.date' and 'int'"),
        ] {
            let refused = is_less(&a, &b).unwrap_err();
            assert!(refused.to_string().ends_with(names), "{refused}");
        }
    }

    #[test]
    fn a_comparison_that_takes_too_long_is_an_error() {
        let many = Value::List((0..1_000_000).map(Value::from).collect());
        work::begin_request();
        for _ in 0..30 {
            if let Err(error) = equal(&many, &many) {
                assert_eq!(error.name(), "TimeoutError");
                return;
            }
        }
        panic!("thirty million steps were not too many");
    }

    #[test]
    fn big_sets_and_dicts_are_compared_quickly() {
        let set = |n: i64| Value::Set((0..n).map(Value::from).collect());
        let count = 100_000;
        assert!(equal(&set(count), &set(count)).unwrap());
        assert!(!equal(&set(count), &set(count - 1)).unwrap());
        let dict = |last: i64| {
            let entries = (0..count).map(|n| (n.into(), n.into()));
            Value::Dict(entries.chain([((-1).into(), last.into())]).collect())
        };
        assert!(equal(&dict(1), &dict(1)).unwrap());
        assert!(!equal(&dict(1), &dict(2)).unwrap());
    }
}
