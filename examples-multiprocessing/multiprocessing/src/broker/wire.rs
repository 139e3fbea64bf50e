//! The format of tasks and outcomes: arguments and results are JSON, and each task is
//! one stream entry.
//!
//! A task is an entry of the stream `mp:{QUEUE}:tasks`:
//!
//! | field | |
//! | --- | --- |
//! | `id` | the task's id, given by its sender: `CLIENT-NUMBER`, or `key:KEY-0` if it has a key |
//! | `task` | the function's registered name |
//! | `args` | its arguments, a JSON array; for a chunk, an array of such arrays |
//! | `many` | `1` for a chunk |
//! | `most` | the number of deliveries after which it is dead, if it is not three |
//! | `deadline` | how long it may run, in milliseconds |
//! | `expires` | the time until which it may begin, by the broker's clock, in milliseconds |
//! | `keep` | how long its result can be looked up by its id, in milliseconds |
//!
//! Its outcome is `{"ok": value}` or `{"error": …}`; for a chunk, it is
//! `{"ok": [outcome, …]}`.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::TaskError;

/// The size of the largest argument or result, in bytes. The broker's own limit is
/// 512 MiB.
const LARGEST: usize = 128 << 20;

/// How a task ended, on the wire. One of the two fields is present.
#[derive(Serialize, Deserialize)]
struct Envelope<V> {
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    ok: Option<V>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<TaskError>,
}

fn none<V>() -> Option<V> {
    None
}

/// The arguments as a JSON array.
pub(crate) fn write_args<A: Serialize>(args: &A) -> Result<String, TaskError> {
    let args = serde_json::to_string(args);
    let args = args.map_err(|error| TaskError::Argument(error.to_string()))?;
    // serde writes the empty tuple, which stands for no arguments, as `null`.
    Ok(if args == "null" { "[]".into() } else { args })
}

pub(super) fn read_args<A: DeserializeOwned>(args: &str) -> Result<A, TaskError> {
    let args = if args == "[]" { "null" } else { args };
    serde_json::from_str(args)
        .map_err(|error| TaskError::Argument(error.to_string()))
}

pub(super) fn read_list(args: &str) -> Result<Vec<&RawValue>, TaskError> {
    serde_json::from_str(args)
        .map_err(|error| TaskError::Argument(error.to_string()))
}

pub(super) fn write_value<R: Serialize>(value: &R) -> Result<String, TaskError> {
    serde_json::to_string(value)
        .map_err(|error| TaskError::Result(error.to_string()))
}

/// Checks that the broker can be given these arguments or this result. Otherwise, the
/// error says what is wrong.
pub(super) fn check_size(json: &str) -> Result<(), String> {
    if json.len() > LARGEST {
        return Err(format!(
            "it has {} bytes as JSON, and {LARGEST} is the most a broker is given",
            json.len()
        ));
    }
    Ok(())
}

/// Appends one item to a list of arguments that is being written.
pub(crate) fn write_item<A: Serialize>(
    list: &mut String,
    args: &A,
) -> Result<(), TaskError> {
    list.push(if list.is_empty() { '[' } else { ',' });
    list.push_str(&write_args(args)?);
    Ok(())
}

/// The outcomes of a chunk's tasks, as a JSON array.
pub(super) fn write_list(
    outcomes: impl Iterator<Item = Result<String, TaskError>>,
) -> String {
    let mut list = String::from("[");
    for outcome in outcomes {
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&write_outcome(&outcome));
    }
    list.push(']');
    list
}

/// An outcome as JSON; its value is JSON already.
pub(super) fn write_outcome(outcome: &Result<String, TaskError>) -> String {
    match outcome {
        Ok(value) => format!("{{\"ok\":{value}}}"),
        Err(error) => {
            let envelope = Envelope::<()> {
                ok: None,
                error: Some(error.clone()),
            };
            serde_json::to_string(&envelope).unwrap_or_else(|_| {
                // Texts and numbers always have a form in JSON.
                r#"{"error":"Broken"}"#.into()
            })
        }
    }
}

/// The value's JSON, or the error.
pub(super) fn read_outcome(outcome: &[u8]) -> Result<Vec<u8>, TaskError> {
    let envelope: Envelope<&RawValue> = serde_json::from_slice(outcome)
        .map_err(|error| TaskError::Result(error.to_string()))?;
    match (envelope.ok, envelope.error) {
        (_, Some(error)) => Err(error),
        (Some(value), None) => Ok(value.get().into()),
        // `{"ok": null}` is the value of a function that returns nothing.
        (None, None) => Ok(b"null".into()),
    }
}

pub(crate) fn read_value<R: DeserializeOwned>(value: &[u8]) -> Result<R, TaskError> {
    serde_json::from_slice(value)
        .map_err(|error| TaskError::Result(error.to_string()))
}

/// The values of a chunk.
pub(crate) fn read_values<R: DeserializeOwned>(
    values: &[u8],
) -> Vec<Result<R, TaskError>> {
    let each: Result<Vec<&RawValue>, _> = serde_json::from_slice(values);
    match each {
        Ok(each) => each
            .into_iter()
            .map(|outcome| read_value(&read_outcome(outcome.get().as_bytes())?))
            .collect(),
        Err(error) => vec![Err(TaskError::Result(error.to_string()))],
    }
}

/// Whether all of a chunk's outcomes are values.
pub(crate) fn all_succeeded(values: &[u8]) -> bool {
    let values = read_values::<serde::de::IgnoredAny>(values);
    values.iter().all(Result::is_ok)
}

/// A task as it is read from the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) args: String,
    /// Whether it is a chunk.
    pub(super) many: bool,
    pub(super) deadline: Option<Duration>,
    /// Whether there is a time until which it may begin: the broker compares it.
    pub(super) expires: bool,
    /// How long its result is kept, as the broker is given it; empty if it is not kept.
    pub(super) keep: String,
}

impl Task {
    /// Reads the fields and values of an entry. Returns `None` if they are not a task.
    pub(super) fn read(fields: Vec<Vec<u8>>) -> Option<Self> {
        let (mut id, mut name, mut args) = (None, None, None);
        let (mut many, mut deadline, mut expires) = (false, None, false);
        let mut keep = String::new();
        let mut fields = fields.into_iter();
        while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
            let value = String::from_utf8(value).ok()?;
            match field.as_slice() {
                b"id" => id = Some(value),
                b"task" => name = Some(value),
                b"args" => args = Some(value),
                b"many" => many = value == "1",
                b"deadline" => {
                    deadline = Some(Duration::from_millis(value.parse().ok()?));
                }
                b"expires" => expires = true,
                b"keep" => {
                    // The broker is given the text, which must be a number.
                    value.parse::<u64>().ok()?;
                    keep = value;
                }
                _ => {}
            }
        }
        Some(Self {
            id: id.filter(|id| id.contains('-'))?,
            name: name?,
            args: args?,
            many,
            deadline,
            expires,
            keep,
        })
    }
}

/// The name of the sender, which is part of a task's id.
pub(super) fn client_of(id: &str) -> &str {
    id.rsplit_once('-').map_or("", |(client, _)| client)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_outcome_crosses() {
        let value = write_outcome(&Ok("7".into()));
        assert_eq!(value, r#"{"ok":7}"#);
        assert_eq!(read_outcome(value.as_bytes()), Ok(b"7".into()));
        let nothing = write_outcome(&Ok("null".into()));
        assert_eq!(read_outcome(nothing.as_bytes()), Ok(b"null".into()));
        let error = TaskError::Killed { signal: 9 };
        let crossed = write_outcome(&Err(error.clone()));
        assert_eq!(crossed, r#"{"error":{"Killed":{"signal":9}}}"#);
        assert_eq!(read_outcome(crossed.as_bytes()), Err(error));
    }

    #[test]
    fn numbers_of_64_bits_cross_whole() {
        for number in [u64::MAX, 1 << 53 | 1] {
            let value = write_value(&number).unwrap();
            assert_eq!(read_value(value.as_bytes()), Ok(number));
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_an_error_and_not_a_panic(
            fields in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..40),
                    prop::sample::select(vec![
                        b"id".to_vec(), b"task".to_vec(), b"args".to_vec(),
                        b"deadline".to_vec(), b"a-1".to_vec(),
                    ]),
                ],
                0..12,
            ),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            drop(Task::read(fields));
            drop(read_outcome(&bytes));
            drop(read_values::<u64>(&bytes));
        }
    }
}
