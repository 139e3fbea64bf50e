//! The signal section of the tutorials, ported to
//! [signal-hook](https://docs.rs/signal-hook) and [nix](https://docs.rs/nix).
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
//! The system calls a handler in the middle of whatever the thread is doing: with a
//! lock in its hand, within `malloc`, half-way through a line of output. Only a few
//! functions are safe to call there ([signal-safety(7)]), and neither `println!` nor
//! anything that allocates is one of them.
//!
//! Python never shows that. Its own handler, in C, only makes a note of the signal;
//! the interpreter looks at the notes between two instructions and calls the function
//! that `signal.signal` was given, on the main thread. The listings do the same in the
//! open: signal-hook's handler makes the note, and `main` says where it looks.
//!
//! - Waiting for a signal: `Signals::forever` sleeps until there is a note. A signal
//!   that comes before the wait is not lost.
//! - At work: `Signals::pending`, or a flag, asked between two pieces of work.
//!
//! # Layout
//!
//! One listing a file in `src/bin/`; `tests/` run the listings as a reader would, and
//! press Ctrl+Z on a pseudo-terminal.
//!
//! # Limitations
//!
//! - A signal that comes again before it was looked at is seen once, in Python too.
//!   Only the system's real-time signals are counted.
//! - A piece of work that takes long delays the handler. A system call that waits is
//!   interrupted by the signal, but std takes most of them up again (`sleep` goes
//!   on to its end), as Python does since 3.5.
//! - SIGKILL and SIGSTOP can be neither handled nor ignored nor blocked. signal-hook
//!   also refuses the signals of a broken program, such as SIGSEGV: returning from
//!   their handler would run the broken instruction again.
//! - A signal for the process goes to any one of its threads that does not block it.
//!   The listings have one thread; with more, signal-hook's notes still arrive, a mask
//!   must be set before the others are started.
//! - What `SIG_IGN` ignores stays ignored in a program that is started afterwards, and
//!   so does a mask.
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
