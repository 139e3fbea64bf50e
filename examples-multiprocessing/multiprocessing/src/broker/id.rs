//! The names of senders and workers at the broker.

use std::fmt::Write as _;

use crate::sys::random;

/// A unique name of a worker or a sender: host, process id, and a number that cannot be
/// guessed.
pub(super) fn new_id() -> String {
    let host = host();
    let mut id = format!("{host}-{}-", std::process::id());
    for byte in &random::bytes()[..6] {
        // Writing to a string does not fail.
        write!(id, "{byte:02x}").ok();
    }
    id
}

pub(super) fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    host.map_or_else(|_| "unknown".into(), |host| host.trim().to_owned())
}
