//! The tasks of a queue that were given up.

use crate::TaskError;
use crate::broker::wire;

/// A task that was given up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadTask {
    /// Its place among the dead tasks, by which it can be [retried](super::Queue::retry) or
    /// [discarded](super::Queue::discard).
    pub place: String,
    /// The id that its sender gave it; empty if the entry was not a task.
    pub id: String,
    /// The function's name.
    pub task: String,
    /// Its arguments as JSON.
    pub args: String,
    /// How many times it was given to a worker.
    pub deliveries: u64,
    /// The error that was reported to its sender.
    pub error: TaskError,
}

/// Whether there may be a task at this place. For the broker any other text is an error, or
/// stands for several places.
pub(super) fn is_place(place: &str) -> bool {
    let Some((millis, number)) = place.split_once('-') else {
        return false;
    };
    [millis, number].iter().all(|part| {
        part.bytes().all(|byte| byte.is_ascii_digit()) && part.parse::<u64>().is_ok()
    })
}

pub(super) fn dead_task((place, fields): (String, Vec<Vec<u8>>)) -> DeadTask {
    let mut task = DeadTask {
        place,
        id: String::new(),
        task: String::new(),
        args: String::new(),
        deliveries: 0,
        error: TaskError::Broken,
    };
    let mut fields = fields.into_iter();
    while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
        let text = String::from_utf8_lossy(&value).into_owned();
        match field.as_slice() {
            b"id" => task.id = text,
            b"task" => task.task = text,
            b"args" => task.args = text,
            b"deliveries" => task.deliveries = text.parse().unwrap_or(0),
            b"outcome" => {
                if let Err(error) = wire::read_outcome(&value) {
                    task.error = error;
                }
            }
            _ => {}
        }
    }
    task
}
