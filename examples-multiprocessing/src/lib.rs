//! The multiprocessing section: processes, locks, queues, shared memory, pools and
//! managers. Of the process library under its listings, there are processes so far.
#![cfg(target_os = "linux")]

mod process;
mod sys;

pub use process::{
    AuthKey, Process, ProcessBuilder, ProcessError, ProcessHandle, active_children,
    cpu_count, current_process, parent_process, set_authkey,
};
