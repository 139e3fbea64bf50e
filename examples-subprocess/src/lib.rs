#![doc = include_str!("story.md")]
//!
//! | Python | here |
//! | --- | --- |
//! | `["ls", "-l"]` | `Command::new("ls").arg("-l")` |
//! | `shell=True` | `Command::new("/bin/sh").args(["-c", line])` |
//! | `call`, `check_call`, `check_output` | [`call`], [`check_call`], [`check_output`] |
//! | `getoutput`, `getstatusoutput`, `shlex.quote` | [`getoutput`], [`getstatusoutput`], [`quote`] |
//! | `run(…, capture_output=True)` | [`Command::output`] |
//! | `Popen(…)` | [`Popen`], or [`Command::spawn`] if a `Child` is enough |
//! | `stdin=PIPE`, `DEVNULL`, a file | [`Stdio::piped`], [`Stdio::null`], a [`File`](std::fs::File) |
//! | `stderr=STDOUT` | both ends of a cloned [`std::io::pipe`] writer |
//! | `child.stdin`, `stdout`, `stderr`, `pid` | [`Popen::stdin`] and so on, [`Popen::pid`] |
//! | `communicate(input, timeout=…)` | [`Popen::communicate`], [`Popen::communicate_timeout`] |
//! | `wait()`, `wait(timeout=…)`, `poll()` | [`Popen::wait`], [`Popen::wait_timeout`], [`Popen::poll`] |
//! | `send_signal`, `terminate`, `kill` | [`Popen::send_signal`], [`Popen::terminate`], [`Popen::kill`] |
//! | `returncode` | [`Popen::returncode`] |
//! | `cwd`, `env`, `executable` | [`Command::current_dir`], [`Command::env`], [`CommandExt::arg0`] |
//! | `preexec_fn`, `start_new_session`, `pass_fds` | [`CommandExt::pre_exec`], as listing N28 shows |
//! | `close_fds=True`, `restore_signals=True` | what std opens closes on exec; SIGPIPE is restored |
//! | `bufsize`, `text=True` | [`BufWriter`](std::io::BufWriter) and its kin, [`String::from_utf8`] |
//! | `CalledProcessError`, `TimeoutExpired` | [`CalledProcessError`], [`SubprocessError::TimeoutExpired`] |
//!
//! # Layout
//!
//! `src/` has one concept a file, `src/bin/` one listing a file (`protest` and
//! `increment_first` are programs that listings start). `tests/listings` runs the
//! listings as a reader would, with stand-ins for `ping` and `nslookup`; the other
//! tests are the library's. `cargo bench -p bench -- start` measures how much the
//! library adds to a bare [`Command`].
//!
//! # Limitations
//!
//! - Only one thread at a time can use the child: everything that waits or signals takes
//!   `&mut self`, which makes it safe to signal by process id.
//! - That safety requires that no other code reaps the child: no `waitpid(-1)` elsewhere
//!   in the program, and SIGCHLD not ignored.
//! - A signal reaches the child alone, not its own children. For a group use
//!   [`CommandExt::process_group`] and `killpg`.
//! - Every descriptor that std opens closes on exec. One that was opened without that
//!   flag, by a C library or before this program was started, goes to every child.
//! - A child started with a `pre_exec` is forked; most others are started by
//!   `posix_spawn`, which does not copy the page tables of a large parent.
//! - [`Popen::wait_timeout`] needs Linux 5.3. On other UNIX systems, and if this process can
//!   open no further descriptor, it asks at growing intervals, as Python does.
//!
//! # When to take another crate
//!
//! - [duct](https://docs.rs/duct) for code that reads like a shell script: pipelines and
//!   redirections as one expression, every failure an error by default, threads in the
//!   background that read what is captured.
//! - [`shared_child`](https://docs.rs/shared_child) if one thread waits for a child and
//!   another ends it. It waits without reaping (`waitid` with `WNOWAIT`), so that the id
//!   stays the child's until a lock is held that every signal needs.
//! - [subprocess](https://docs.rs/subprocess) for pipelines and a `communicate` with a
//!   limit of time and size together, and for Windows.
//! - [`os_pipe`](https://docs.rs/os_pipe) with a Rust older than 1.87, whose std has no
//!   [`pipe`](std::io::pipe).
//!
//! [`Command`]: std::process::Command
//! [`Command::status`]: std::process::Command::status
//! [`Command::output`]: std::process::Command::output
//! [`Command::spawn`]: std::process::Command::spawn
//! [`Command::current_dir`]: std::process::Command::current_dir
//! [`Command::env`]: std::process::Command::env
//! [`CommandExt::arg0`]: std::os::unix::process::CommandExt::arg0
//! [`CommandExt::pre_exec`]: std::os::unix::process::CommandExt::pre_exec
//! [`CommandExt::process_group`]: std::os::unix::process::CommandExt::process_group
//! [`Stdio::piped`]: std::process::Stdio::piped
//! [`Stdio::null`]: std::process::Stdio::null
#![forbid(unsafe_code)]

mod checked;
mod child_program;
mod error;
mod exchange;
mod popen;
mod wait;

pub use checked::{
    call, check_call, check_output, getoutput, getstatusoutput, quote,
};
pub use child_program::child_program;
pub use error::{CalledProcessError, SubprocessError};
pub use nix::sys::signal::Signal;
pub use popen::{Captured, Popen};

/// The listings, a page each: its link *Source* leads to the listing itself.
///
/// They are programs, and not part of the library that other code uses.
#[cfg(doc)]
#[path = "bin"]
pub mod listings {
    pub mod call;
    pub mod call_shell;
    pub mod check_call;
    pub mod check_output;
    pub mod communicate_cat;
    pub mod communicate_chain;
    pub mod increment_first;
    pub mod nslookup_call;
    pub mod nslookup_communicate;
    pub mod pipe_ls_wc;
    pub mod popen_control;
    pub mod popen_no_wait;
    pub mod popen_options;
    pub mod popen_streams;
    pub mod popen_wait;
    pub mod protest;
    pub mod run_functions;
}

// In a listing the library has its own name.
#[cfg(doc)]
extern crate self as subprocess;
