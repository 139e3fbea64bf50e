//! The end of a process.
#![allow(
    unsafe_code,
    reason = "libc's atexit and _exit have no counterpart in std or nix"
)]

use std::sync::OnceLock;

static AT_EXIT: OnceLock<fn()> = OnceLock::new();

/// Has `handler` called when this process or a fork of it exits: when `main` returns or
/// [`std::process::exit`] is called. It is not called when a signal ends the process. Only
/// the first handler counts.
pub(crate) fn at_exit(handler: fn()) {
    extern "C" fn call() {
        if let Some(handler) = AT_EXIT.get() {
            handler();
        }
    }
    if AT_EXIT.set(handler).is_ok() {
        // SAFETY: `call` is a function of this program, there for as long as it runs.
        // If there is no memory for a further entry, nothing is registered.
        unsafe { libc::atexit(call) };
    }
}

/// Ends the process at once: no exit handlers, nothing flushed. They are the parent's,
/// and a forked child must not run them a second time.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and touches no memory of this process.
    unsafe { libc::_exit(code) }
}
