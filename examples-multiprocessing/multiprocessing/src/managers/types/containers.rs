//! Python's indices, slices and iterables.

use crate::managers::pickle::{
    Exception, MAX_MEMORY, Object, Value, array, charge_copy,
};
use crate::managers::server::target_of;

/// The place in a sequence of this length that a Python index means, which counts from
/// the end if it is negative.
pub(super) fn place(
    index: i64,
    length: usize,
    what: &str,
) -> Result<usize, Exception> {
    let from_start = if index < 0 {
        index.checked_add_unsigned(length as u64)
    } else {
        Some(index)
    };
    from_start
        .and_then(|index| usize::try_from(index).ok())
        .filter(|&index| index < length)
        .ok_or_else(|| Exception::index_error(format!("{what} index out of range")))
}

/// An index that may lie beyond the ends: as near as there is.
pub(super) fn clamped(index: i64, length: usize) -> usize {
    if index < 0 {
        length
            .saturating_sub(usize::try_from(index.unsigned_abs()).unwrap_or(length))
    } else {
        usize::try_from(index).map_or(length, |index| index.min(length))
    }
}

/// What stands between the brackets.
pub(super) enum Subscript {
    Index(i64),
    Slice(Places),
}

/// What a slice selects of a sequence.
pub(super) struct Places {
    /// In the order of the slice.
    pub(super) places: Vec<usize>,
    /// Where a slice without a step begins: its items may be replaced by more or fewer.
    pub(super) contiguous: Option<usize>,
}

impl Subscript {
    pub(super) fn new(
        value: &Value,
        length: usize,
        what: &str,
    ) -> Result<Self, Exception> {
        match value {
            Value::Int(_) | Value::Bool(_) | Value::BigInt(_) => {
                let overflow = || {
                    Exception::index_error(
                        "cannot fit 'int' into an index-sized integer",
                    )
                };
                integer(value)?
                    .exact()
                    .ok_or_else(overflow)
                    .map(Self::Index)
            }
            Value::Object(object) if object.name() == "slice" => {
                match object.args() {
                    [begin, end, stride] => {
                        slice(begin, end, stride, length).map(Self::Slice)
                    }
                    _ => Err(Exception::type_error("a slice has three parts")),
                }
            }
            other => Err(Exception::type_error(format!(
                "{what} indices must be integers or slices, not {}",
                other.type_name()
            ))),
        }
    }
}

/// An integer that is used as an index or a count.
#[derive(Debug, Clone, Copy)]
pub(super) enum Integer {
    Fits(i64),
    /// Beyond 64 bits, downwards or upwards.
    TooLow,
    TooHigh,
}

impl Integer {
    pub(super) fn exact(self) -> Option<i64> {
        match self {
            Self::Fits(value) => Some(value),
            Self::TooLow | Self::TooHigh => None,
        }
    }

    /// As near as there is.
    pub(super) fn clamped(self) -> i64 {
        match self {
            Self::Fits(value) => value,
            Self::TooLow => i64::MIN,
            Self::TooHigh => i64::MAX,
        }
    }

    /// The number, for a parameter that Python's implementation keeps in a C type.
    pub(super) fn for_c(self) -> Result<i64, Exception> {
        self.exact().ok_or_else(|| {
            Exception::overflow_error("Python int too large to convert to C ssize_t")
        })
    }
}

/// Python's `operator.index`.
pub(super) fn integer(value: &Value) -> Result<Integer, Exception> {
    match value {
        Value::Int(value) => Ok(Integer::Fits(*value)),
        Value::Bool(value) => Ok(Integer::Fits(i64::from(*value))),
        Value::BigInt(value) if value.is_negative() => Ok(Integer::TooLow),
        Value::BigInt(_) => Ok(Integer::TooHigh),
        other => Err(Exception::type_error(format!(
            "'{}' object cannot be interpreted as an integer",
            other.type_name()
        ))),
    }
}

fn slice(
    begin: &Value,
    end: &Value,
    stride: &Value,
    length: usize,
) -> Result<Places, Exception> {
    let part = |value: &Value| match value {
        Value::None => Ok(None),
        value => match integer(value) {
            Ok(value) => Ok(Some(value.clamped())),
            Err(_) => Err(Exception::type_error(
                "slice indices must be integers or None or have an __index__ method",
            )),
        },
    };
    let stride = part(stride)?.unwrap_or(1);
    if stride == 0 {
        return Err(Exception::value_error("slice step cannot be zero"));
    }
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let backwards = stride < 0;
    // Backwards the end may lie before the first place.
    let (lowest, highest) = if backwards {
        (-1, length - 1)
    } else {
        (0, length)
    };
    let bound = |index: Option<i64>, default: i64| match index {
        None => default,
        Some(index) if index < 0 => {
            index.saturating_add(length).clamp(lowest, highest)
        }
        Some(index) => index.clamp(lowest, highest),
    };
    let (first, last) = if backwards {
        (highest, lowest)
    } else {
        (lowest, highest)
    };
    let (begin, end) = (bound(part(begin)?, first), bound(part(end)?, last));
    let places = strides(begin, end, stride).map(|place| place as usize);
    Ok(Places {
        places: places.collect(),
        contiguous: (stride == 1).then_some(begin as usize),
    })
}

/// Begin, begin + stride, … up to, but without, the end. The stride is not 0.
fn strides(begin: i64, end: i64, stride: i64) -> impl Iterator<Item = i64> {
    std::iter::successors(Some(begin), move |place| place.checked_add(stride))
        .take_while(move |&place| if stride < 0 { place > end } else { place < end })
}

/// Whether Python takes a value for true.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::None => false,
        Value::Bool(value) => *value,
        Value::Int(value) => *value != 0,
        Value::Float(value) => *value != 0.0,
        Value::Str(value) => !value.is_empty(),
        Value::Bytes(value) | Value::ByteArray(value) => !value.is_empty(),
        Value::Tuple(items)
        | Value::List(items)
        | Value::Set(items)
        | Value::FrozenSet(items) => !items.is_empty(),
        Value::Dict(entries) => !entries.is_empty(),
        _ => true,
    }
}

/// Places a replacement where a slice is: `items[places] = values`.
pub(super) fn replace<T>(
    items: &mut Vec<T>,
    slice: &Places,
    values: Vec<T>,
) -> Result<(), Exception> {
    let places = &slice.places;
    if let Some(start) = slice.contiguous {
        items.splice(start..start + places.len(), values);
    } else if values.len() == places.len() {
        for (&place, value) in places.iter().zip(values) {
            items[place] = value;
        }
    } else {
        return Err(Exception::value_error(format!(
            "attempt to assign sequence of size {} to extended slice of size {}",
            values.len(),
            places.len()
        )));
    }
    Ok(())
}

/// The items that iterating over a value gives.
pub(super) fn iterate(value: Value) -> Result<Vec<Value>, Exception> {
    let value = match value.into_entries() {
        Ok(entries) => {
            return Ok(entries.into_iter().map(|(key, _)| key).collect());
        }
        Err(value) => value,
    };
    match value {
        Value::List(items)
        | Value::Tuple(items)
        | Value::Set(items)
        | Value::FrozenSet(items) => {
            charge_copy(items.len())?;
            Ok(items.into_inner())
        }
        // Each item takes far more memory than the byte that it was.
        Value::Str(text) if text.len() <= MAX_ITEMS => {
            Ok(text.chars().map(|char| char.to_string().into()).collect())
        }
        Value::Bytes(bytes) | Value::ByteArray(bytes)
            if bytes.len() <= MAX_ITEMS =>
        {
            Ok(bytes.into_iter().map(Value::from).collect())
        }
        Value::Str(_) | Value::Bytes(_) | Value::ByteArray(_) => {
            Err(Exception::memory_error())
        }
        Value::Object(object) => iterate_object(object.into_inner()),
        // Another object of this server: what it contains at this moment.
        Value::Proxy(proxy) => match target_of(&proxy).and_then(|m| m.value()) {
            Some(value @ (Value::List(_) | Value::Dict(_))) => iterate(value),
            Some(Value::Object(object)) if object.name() == "array" => {
                iterate_object(object.into_inner())
            }
            _ => Err(not_iterable(&Value::Proxy(proxy))),
        },
        other => Err(not_iterable(&other)),
    }
}

/// The items to add to a list that has this many.
///
/// # Errors
///
/// Those of [`iterate`], and `MemoryError` if the items are another object's and the list
/// would take too much: a list that is added to itself doubles each time.
pub(super) fn added_to(
    length: usize,
    items: Value,
) -> Result<Vec<Value>, Exception> {
    let is_proxy = matches!(items, Value::Proxy(_));
    let items = iterate(items)?;
    let bytes = (length + items.len()).saturating_mul(size_of::<Value>());
    if is_proxy && bytes > MAX_MEMORY {
        return Err(Exception::memory_error());
    }
    Ok(items)
}

fn iterate_object(object: Object) -> Result<Vec<Value>, Exception> {
    match object.name() {
        _ if object.is_class() => {}
        "range" => return range(object.args()),
        "deque" => return Ok(object.items),
        "reversed" => {
            if let [Value::List(items)] = object.args() {
                return Ok(items.iter().rev().cloned().collect());
            }
        }
        "array" => {
            let bytes = match object.args() {
                [_, Value::Bytes(bytes)] => bytes.len(),
                _ => 0,
            };
            if bytes > MAX_ITEMS {
                return Err(Exception::memory_error());
            }
            if let Some(items) = array::items(&object) {
                return Ok(items);
            }
        }
        _ => {}
    }
    Err(not_iterable(&Value::Object(object.into())))
}

fn not_iterable(value: &Value) -> Exception {
    Exception::type_error(format!("'{}' object is not iterable", value.type_name()))
}

/// The most items that a range, a text or bytes may unfold to.
pub(super) const MAX_ITEMS: usize = 1 << 22;

fn range(args: &[Value]) -> Result<Vec<Value>, Exception> {
    let &[Value::Int(begin), Value::Int(end), Value::Int(stride)] = args else {
        // Its numbers are beyond 64 bits.
        return Err(Exception::memory_error());
    };
    if stride == 0 {
        return Err(Exception::value_error("range() arg 3 must not be zero"));
    }
    let numbers: Vec<_> = strides(begin, end, stride)
        .take(MAX_ITEMS + 1)
        .map(Value::Int)
        .collect();
    if numbers.len() > MAX_ITEMS {
        return Err(Exception::memory_error());
    }
    Ok(numbers)
}
