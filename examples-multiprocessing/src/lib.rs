//! The multiprocessing section: processes, locks, queues, shared memory, pools and
//! managers. Of the process library under its listings, there are processes so far.
#![cfg(target_os = "linux")]

mod error;
#[allow(dead_code, reason = "its users are still to come")]
mod handover;
mod process;
#[allow(dead_code, unused_imports, reason = "its users are still to come")]
mod sys;

pub use error::Error;
pub use process::{
    AuthKey, Process, ProcessBuilder, ProcessError, ProcessHandle, active_children,
    cpu_count, current_process, parent_process, set_authkey,
};
