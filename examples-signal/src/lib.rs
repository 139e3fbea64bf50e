#![doc = include_str!("story.md")]
//!
//! | Python | here |
//! | --- | --- |
//! | `signal.SIGALRM`, `signal.SIGCONT` | `nix::sys::signal::Signal`: [signal(7)] |
//! | `signal.signal(sig, handler)` | `signal_hook::iterator::Signals`, or a flag of `signal_hook::flag`: [sigaction(2)] |
//! | `signal.signal(sig, signal.SIG_IGN)`, `SIG_DFL` | `nix::sys::signal::signal`, which is `unsafe` |
//! | `signal.pause()` | `Signals::forever`, `Signals::wait`: [pause(2)] |
//! | `signal.alarm(seconds)` | [`alarm()`]; `nix::unistd::alarm::set` in whole seconds: [alarm(2)], [timer_create(2)] |
//! | `os.kill(pid, sig)`, `os.killpg(pgid, sig)` | `nix::sys::signal::kill`, `killpg`: [kill(2)], [killpg(3)] |
//! | `signal.pthread_sigmask` | `SigSet::thread_block`, `SigSet::thread_unblock`: [pthread_sigmask(3)] |
//! | `signal.sigpending()` | `libc::sigpending`, which nix lacks: [sigpending(2)] |
//! | `signal.sigwait(set)` | `SigSet::wait`: [sigwait(3)] |
//! | the handler's `frame` | none |
//!
//! # Where a handler runs
//!
//! The system calls a handler in the middle of whatever the thread is doing: while it
//! holds a lock, within `malloc`, half-way through a line of output. Only a few
//! functions are safe to call there ([signal-safety(7)]). `println!` is not one of
//! them, nor is anything that allocates.
//!
//! Python hides that. Its own handler, in C, only makes a note of the signal. The
//! interpreter looks at the notes between two instructions and calls the function that
//! `signal.signal` was given, on the main thread. The listings do the same in plain
//! sight: signal-hook's handler makes the note, and `main` says where it looks.
//!
//! - While waiting for a signal: `Signals::forever` sleeps until there is a note. A signal
//!   that comes before the wait is not lost.
//! - While working: `Signals::pending`, or a flag, between two pieces of work.
//!
//! # Layout
//!
//! `src/bin/` has one listing a file. `tests/listings` runs the listings as a reader
//! would, and presses Ctrl+Z on a pseudo-terminal.
//!
//! # Limitations
//!
//! - A signal that comes again before the program has looked is seen once, in Python too.
//!   Only the system's real-time signals are counted.
//! - A long piece of work delays the handler. A system call that waits is interrupted by
//!   the signal, but std restarts most of them (`sleep` continues to its end), as Python
//!   does since 3.5.
//! - SIGKILL and SIGSTOP can be neither handled nor ignored nor blocked. signal-hook
//!   also refuses the signals of a broken program, such as SIGSEGV: returning from
//!   their handler would run the broken instruction again.
//! - A signal for the process goes to any one of its threads that does not block it.
//!   The listings have one thread. With more, signal-hook's notes still arrive, but a
//!   mask has to be set before the other threads are started.
//! - A program that is started inherits the mask and the signals that are ignored.
//!
//! [signal(7)]: https://man7.org/linux/man-pages/man7/signal.7.html
//! [signal-safety(7)]: https://man7.org/linux/man-pages/man7/signal-safety.7.html
//! [sigaction(2)]: https://man7.org/linux/man-pages/man2/sigaction.2.html
//! [pause(2)]: https://man7.org/linux/man-pages/man2/pause.2.html
//! [alarm(2)]: https://man7.org/linux/man-pages/man2/alarm.2.html
//! [timer_create(2)]: https://man7.org/linux/man-pages/man2/timer_create.2.html
//! [kill(2)]: https://man7.org/linux/man-pages/man2/kill.2.html
//! [killpg(3)]: https://man7.org/linux/man-pages/man3/killpg.3.html
//! [pthread_sigmask(3)]: https://man7.org/linux/man-pages/man3/pthread_sigmask.3.html
//! [sigpending(2)]: https://man7.org/linux/man-pages/man2/sigpending.2.html
//! [sigwait(3)]: https://man7.org/linux/man-pages/man3/sigwait.3.html
#![forbid(unsafe_code)]

mod alarm;

pub use alarm::alarm;

/// The listings, a page each: its link *Source* leads to the listing itself.
///
/// They are programs, and not part of the library that other code uses.
#[cfg(doc)]
#[path = "bin"]
pub mod listings {
    pub mod alarm;
    pub mod block_signals;
    pub mod handle_tstp;
    pub mod handle_while_working;
    pub mod ignore_and_default;
    pub mod send_signal;
    pub mod signal_names;
}

// In a listing the library has its own name.
#[cfg(doc)]
extern crate self as signals;
