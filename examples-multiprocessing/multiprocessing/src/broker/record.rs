//! What a worker reports about itself to the broker.

use serde::{Deserialize, Serialize};

/// What a worker reports about itself.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) host: String,
    pub(super) pid: u32,
    pub(super) processes: usize,
    pub(super) running: Vec<Run>,
}

/// A task that a worker runs, as the worker reports it.
#[derive(Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) entry: String,
    /// The time since the worker took it.
    pub(super) millis: u64,
    /// The process that runs it; none while it waits for a process.
    pub(super) pid: Option<u32>,
}

pub(super) fn write_record(
    host: &str,
    processes: usize,
    running: Vec<Run>,
) -> String {
    let record = Record {
        host: host.to_owned(),
        pid: std::process::id(),
        processes,
        running,
    };
    // Texts and numbers always have a form in JSON.
    serde_json::to_string(&record).unwrap_or_default()
}
