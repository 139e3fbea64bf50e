//! The fields of a task's entry at the broker.

use std::time::Duration;

use super::Client;
use crate::TaskError;
use crate::broker::{DELIVERIES, wire};

/// The fields of a task's entry and their values. A complete one has `id` first.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// How long the result of a task with a key is kept, unless the pool's results are kept
/// for another time.
const KEPT_WITH_KEY: Duration = Duration::from_hours(24);
/// The longest key of a task, in bytes.
const LONGEST_KEY: usize = 1024;

impl Client {
    /// The fields of a task's entry, without its id.
    pub(crate) fn fields(
        &self,
        name: &str,
        args: String,
        many: bool,
        deadline: Option<Duration>,
    ) -> Result<Fields, TaskError> {
        wire::check_size(&args).map_err(TaskError::Argument)?;
        let mut fields = vec![("task", name.to_owned()), ("args", args)];
        if self.options.deliveries != DELIVERIES {
            fields.push(("most", self.options.deliveries.to_string()));
        }
        if many {
            fields.push(("many", "1".into()));
        }
        if let Some(limit) = deadline {
            // A limit of zero would end before the task begins.
            fields.push(("deadline", limit.as_millis().max(1).to_string()));
        }
        if let Some(keep) = self.options.keep {
            fields.push(("keep", keep.as_millis().max(1).to_string()));
        }
        Ok(fields)
    }

    /// Gives a task a key: its id is made of the key, and its result is kept.
    pub(crate) fn add_key(
        &self,
        key: &str,
        fields: &mut Fields,
    ) -> Result<(), TaskError> {
        if key.len() > LONGEST_KEY {
            return Err(TaskError::Argument(format!(
                "the key has {} bytes, and {LONGEST_KEY} is the most",
                key.len()
            )));
        }
        fields.insert(0, ("id", id_of_key(key)));
        if self.options.keep.is_none() {
            fields.push(("keep", KEPT_WITH_KEY.as_millis().to_string()));
        }
        Ok(())
    }
}

/// The id of the task with this key.
pub(crate) fn id_of_key(key: &str) -> String {
    format!("key:{key}-0")
}
