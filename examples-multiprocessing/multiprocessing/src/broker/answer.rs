//! What the broker answers, as texts, numbers and lists.

use redis::Value;

/// The elements of a list as texts.
pub(super) fn texts(value: Value) -> Vec<Vec<u8>> {
    let Value::Array(values) = value else {
        return Vec::new();
    };
    values.into_iter().map(text).collect()
}

/// A text or a number as a text; empty for any other value.
pub(super) fn text(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(text) => text,
        Value::SimpleString(text) => text.into_bytes(),
        Value::Int(number) => number.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

pub(super) fn string(value: Value) -> String {
    String::from_utf8_lossy(&text(value)).into_owned()
}

/// The elements of a list that has this number of them.
pub(super) fn list<const N: usize>(value: Value) -> [Value; N] {
    let list = match value {
        Value::Array(values) => values.try_into().ok(),
        _ => None,
    };
    list.unwrap_or([const { Value::Nil }; N])
}

/// A number, or 0 for any other value.
pub(super) fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        _ => 0,
    }
}

/// The elements of a list as numbers.
pub(super) fn numbers(value: Value) -> Vec<i64> {
    let Value::Array(values) = value else {
        return Vec::new();
    };
    values.iter().map(number).collect()
}

/// The entries of a stream, each with its fields and values. An entry that was deleted
/// has no fields.
pub(super) fn entries(value: Value) -> Vec<(String, Vec<Vec<u8>>)> {
    let Value::Array(entries) = value else {
        return Vec::new();
    };
    let entry = |entry| {
        let Value::Array(parts) = entry else {
            return None;
        };
        let mut parts = parts.into_iter();
        let id = string(parts.next()?);
        Some((id, texts(parts.next().unwrap_or(Value::Nil))))
    };
    entries.into_iter().filter_map(entry).collect()
}

/// The entries of the first stream in an answer of XREAD or XREADGROUP.
pub(super) fn entries_read(value: Value) -> Vec<(String, Vec<Vec<u8>>)> {
    let Value::Array(mut streams) = value else {
        return Vec::new();
    };
    match streams.pop() {
        Some(Value::Array(mut stream)) if stream.len() == 2 => {
            entries(stream.pop().unwrap_or(Value::Nil))
        }
        _ => Vec::new(),
    }
}

/// The keys and values of a list in which they alternate.
pub(super) fn pairs(value: Value) -> Vec<(String, String)> {
    let mut texts = texts(value).into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (texts.next(), texts.next()) {
        pairs.push((
            String::from_utf8_lossy(&key).into_owned(),
            String::from_utf8_lossy(&value).into_owned(),
        ));
    }
    pairs
}
