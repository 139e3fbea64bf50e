//! Runs a listing as a reader would: from outside, and never without a deadline.
//!
//! Everything here panics if a test has to fail.

mod python;
mod watchdog;

pub use python::{free_port, pythons, script};
pub use watchdog::Watchdog;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Once};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// Far beyond what any listing takes, so that only a hang meets it.
const DEADLINE: Duration = Duration::from_mins(1);

/// Far beyond what related processes take to end once they are signalled.
const SOON: Duration = Duration::from_secs(10);

/// The listing of this name in the package under test.
#[macro_export]
macro_rules! listing {
    ($name:literal) => {
        $crate::harness::Listing::new(env!(concat!("CARGO_BIN_EXE_", $name)))
    };
}
pub use listing;

/// Functions with their names: what a test program runs that starts itself again.
#[macro_export]
macro_rules! named {
    ($($(#[$attribute:meta])* $function:ident,)*) => {
        &[$($(#[$attribute])* (stringify!($function), $function),)*]
    };
}
pub use named;

/// A listing that is yet to be started.
pub struct Listing {
    command: Command,
    input: String,
}

impl Listing {
    /// The program at this path, without the `TEMPO` of the tests themselves.
    #[must_use]
    pub fn new(path: &str) -> Self {
        let mut command = Command::new(path);
        command.env_remove("TEMPO");
        Self {
            command,
            input: String::new(),
        }
    }

    /// Plays it this many times faster than the tutorial.
    #[must_use]
    pub fn tempo(self, tempo: u32) -> Self {
        self.env("TEMPO", tempo.to_string())
    }

    /// Sets an environment variable for it.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Runs it with the rights of this user and of the group of the same number, which
    /// takes those of root.
    #[must_use]
    pub fn user(mut self, id: u32) -> Self {
        self.command.uid(id).gid(id);
        self
    }

    /// What [`run`](Self::run) types on the listing's standard input.
    #[must_use]
    pub fn input(mut self, input: &str) -> Self {
        self.input = input.into();
        self
    }

    /// Starts the listing, types the input, and waits for its end.
    #[must_use]
    pub fn run(mut self) -> Finished {
        let input = std::mem::take(&mut self.input);
        let mut running = self.start();
        running.type_in(&input);
        running.finish()
    }

    /// Starts the listing in a process group of its own, so that it can be ended with
    /// all its children.
    #[must_use]
    pub fn start(mut self) -> Running {
        let_ctrl_c_through();
        let mut child = self
            .command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the listing can be started");
        Running {
            stdin: child.stdin.take(),
            stdout: lines_of(child.stdout.take().unwrap()),
            stderr: lines_of(child.stderr.take().unwrap()),
            started: Instant::now(),
            reaped: false,
            seen: Vec::new(),
            child,
        }
    }
}

/// A shell starts a job in the background with Ctrl+C ignored, and everything that the
/// job starts inherits that. A handler is not inherited, so with one here the listing
/// finds the default. Ctrl+C still ends the tests themselves.
fn let_ctrl_c_through() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let always = Arc::new(AtomicBool::new(true));
        let interrupted = 128 + SIGINT;
        flag::register_conditional_shutdown(SIGINT, interrupted, always)
            .expect("SIGINT may be handled");
    });
}

/// The lines of a pipe, read by a thread that ends with the pipe.
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let line = line.expect("a pipe can be read");
            let line = String::from_utf8_lossy(&line).into_owned();
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A listing that runs. Dropping it kills what is left of its process group.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    started: Instant,
    /// Once it is reaped, its id may belong to another process.
    reaped: bool,
    /// The lines of standard output that were read so far.
    seen: Vec<String>,
}

impl Running {
    /// Its process id, which is also that of its process group.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// The next line of its standard output.
    pub fn line(&mut self) -> String {
        let line = self
            .stdout
            .recv_timeout(self.time_left())
            .unwrap_or_else(|_| panic!("no further line after {:#?}", self.seen));
        self.seen.push(line.clone());
        line
    }

    /// Reads lines up to and including the first that contains this text.
    pub fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Types on its standard input. If the listing has ended, the text is lost.
    pub fn type_in(&mut self, text: &str) {
        if let Some(stdin) = &mut self.stdin
            && stdin.write_all(text.as_bytes()).is_err()
        {
            self.close_stdin();
        }
    }

    /// Ends its standard input, as Ctrl+D would.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal to the listing and its children, as the terminal's Ctrl+C does.
    pub fn signal(&self, signal: Signal) {
        killpg(self.pid(), signal).expect("the listing still runs");
    }

    /// Ends its standard input, waits for its end, and collects what it wrote.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        self.close_stdin();
        self.wait_for_its_end();
        let mut lines = std::mem::take(&mut self.seen);
        self.rest_of(&self.stdout, &mut lines);
        let mut errors = Vec::new();
        self.rest_of(&self.stderr, &mut errors);
        Finished {
            status: self.reap(),
            lines,
            errors,
        }
    }

    /// After a signal was sent to it: insists that it ends soon, by that signal and with
    /// nothing on standard error, and with it all its children, which share its output.
    #[track_caller]
    pub fn ends_by(self, signal: Signal) {
        let signalled = Instant::now();
        let run = self.finish();
        assert_eq!(run.signal(), Some(signal as i32), "{run:#?}");
        assert_eq!(run.errors, [""; 0]);
        let took = signalled.elapsed();
        assert!(took < SOON, "it took {took:?}");
    }

    /// Leaves the process unreaped, so that its id stays its own until `reap`.
    fn wait_for_its_end(&mut self) {
        let flags =
            WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        while waitid(Id::Pid(self.pid()), flags) == Ok(WaitStatus::StillAlive) {
            if self.time_left().is_zero() {
                let mut lines = std::mem::take(&mut self.seen);
                lines.extend(self.stdout.try_iter());
                panic!("still running after {DEADLINE:?}; printed {lines:#?}");
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills what is left of its process group and reaps it.
    fn reap(&mut self) -> ExitStatus {
        if !self.reaped {
            killpg(self.pid(), Signal::SIGKILL).ok(); // There may be no process left.
            self.reaped = true;
        }
        self.child.wait().expect("our own child")
    }

    fn rest_of(&self, pipe: &Receiver<String>, lines: &mut Vec<String>) {
        loop {
            match pipe.recv_timeout(self.time_left()) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!(
                        "a child of the listing still holds its output: {lines:#?}"
                    )
                }
            }
        }
    }

    fn time_left(&self) -> Duration {
        DEADLINE.saturating_sub(self.started.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reap();
    }
}

/// A listing that has ended, and what it wrote, line by line.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub lines: Vec<String>,
    /// Its standard error.
    pub errors: Vec<String>,
}

impl Finished {
    /// Insists on exit code 0 and an empty standard error, and gives the lines.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "some tests only insist on success"
    )]
    pub fn success(self) -> Vec<String> {
        assert!(self.status.success() && self.errors.is_empty(), "{self:#?}");
        self.lines
    }

    /// The signal that ended it.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

/// Whether a process runs. One that has ended does not, even if its parent has not waited
/// for it yet.
#[must_use]
pub fn is_running(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Xorshift: good enough for instants and victims, and repeatable by `SEED`.
pub struct Random(pub u64);

impl Random {
    /// Seeded by the environment variable `SEED`, or by the time; prints the seed.
    #[must_use]
    pub fn seeded() -> Self {
        let seed = env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
            now.as_nanos() as u64 | 1
        });
        println!("SEED={seed}");
        Self(seed)
    }

    /// A number from 0 up to, but not including, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A name that begins like this and that nobody else has: no other test of this process,
/// and no process that had its number before it and left something behind.
#[must_use]
pub fn unique(name: &str) -> String {
    // The number tells forks apart, which have the same random state.
    let random = RandomState::new().hash_one(process::id());
    format!("{name}-{random:016x}")
}

/// The same lines in alphabetical order, for output whose order is the scheduler's.
#[must_use]
pub fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Runs a listing whose order is fixed a hundred times, many at once, and gives the
/// lines of each run.
pub fn a_hundred_runs(
    listing: impl Fn() -> Listing,
) -> impl Iterator<Item = Vec<String>> {
    (0..4).flat_map(move |_| {
        let batch: Vec<_> = (0..25).map(|_| listing().start()).collect();
        batch.into_iter().map(|running| running.finish().success())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn unique_names_differ() {
        let names: BTreeSet<_> = (0..100).map(|_| unique("name")).collect();
        assert_eq!(names.len(), 100);
        assert!(names.iter().all(|name| name.starts_with("name-")));
    }
}
