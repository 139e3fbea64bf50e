//! The functions of a worker, in the processes of its pool.

use std::sync::{PoisonError, RwLock};

use crate::TaskError;
use crate::broker::tasks::Tasks;
use crate::broker::wire;

/// The functions of this worker. The processes of its pool inherit them.
pub(super) static SERVED: RwLock<Option<Tasks>> = RwLock::new(None);

/// Runs a task in a process of the pool, which inherited the functions by name.
pub(super) fn run(
    name: String,
    args: String,
    many: bool,
) -> Result<String, TaskError> {
    let tasks = SERVED.read().unwrap_or_else(PoisonError::into_inner);
    let tasks = tasks.as_ref().ok_or(TaskError::Broken)?;
    let outcome = tasks.run(&name, &args, many)?;
    wire::check_size(&outcome).map_err(TaskError::Result)?;
    Ok(outcome)
}
