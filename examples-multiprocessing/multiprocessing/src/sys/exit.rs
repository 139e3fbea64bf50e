//! The end of a process.
#![allow(
    unsafe_code,
    reason = "libc's atexit and _exit have no counterpart in std or nix"
)]

#[cfg(target_env = "gnu")]
use std::ffi::{c_int, c_void};
#[cfg(target_env = "gnu")]
use std::ptr;
use std::sync::OnceLock;

static AT_EXIT: OnceLock<fn(ExitCode)> = OnceLock::new();

/// The number with which a process exits; `None` if the C library does not say.
type ExitCode = Option<i32>;

/// Has `handler` called when this process or a fork of it exits: when `main` returns or
/// [`std::process::exit`] is called. It is not called when a signal ends the process. Only
/// the first handler counts.
pub(crate) fn at_exit(handler: fn(ExitCode)) {
    if AT_EXIT.set(handler).is_ok() {
        register();
    }
}

/// If there is no memory for a further entry, nothing is registered.
#[cfg(target_env = "gnu")]
fn register() {
    unsafe extern "C" {
        /// See [on_exit(3)](https://man7.org/linux/man-pages/man3/on_exit.3.html). The libc
        /// crate lacks it.
        fn on_exit(
            call: extern "C" fn(c_int, *mut c_void),
            argument: *mut c_void,
        ) -> c_int;
    }
    extern "C" fn call(code: c_int, _argument: *mut c_void) {
        if let Some(handler) = AT_EXIT.get() {
            handler(Some(code));
        }
    }
    // SAFETY: `call` is a function of this program, there for as long as it runs, and uses
    // no argument.
    unsafe { on_exit(call, ptr::null_mut()) };
}

#[cfg(not(target_env = "gnu"))]
fn register() {
    extern "C" fn call() {
        if let Some(handler) = AT_EXIT.get() {
            handler(None);
        }
    }
    // SAFETY: `call` is a function of this program, there for as long as it runs.
    unsafe { libc::atexit(call) };
}

/// Ends the process at once: no exit handlers, nothing flushed. They are the parent's,
/// and a forked child must not run them a second time.
#[inline]
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and touches no memory of this process.
    unsafe { libc::_exit(code) }
}
