//! The end of a process.
#![allow(
    unsafe_code,
    reason = "libc's atexit and _exit have no counterpart in std or nix"
)]

use std::sync::OnceLock;

static AT_EXIT: OnceLock<fn()> = OnceLock::new();

/// Has `handler` called when this process exits: when `main` returns or somebody
/// calls [`std::process::exit`], in this process or in a fork of it. Not when a signal
/// ends the process. Only the first handler counts.
pub(crate) fn at_exit(handler: fn()) {
    extern "C" fn call() {
        if let Some(handler) = AT_EXIT.get() {
            handler();
        }
    }
    if AT_EXIT.set(handler).is_ok() {
        // SAFETY: `call` is a function of this program, there for as long as it runs.
        // Where there is no memory for one entry more, nothing is registered.
        let _registered = unsafe { libc::atexit(call) };
    }
}

/// Ends the process at once: no exit handlers, nothing flushed. They are the parent's,
/// and a forked child is not to run them a second time.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and touches no memory of this process.
    unsafe { libc::_exit(code) }
}
