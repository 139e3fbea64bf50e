//! A time-out holds if the process can open no further descriptor: alone in its process,
//! whose limit is lowered.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::iter;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use subprocess::{Popen, SubprocessError};
use tutorial::harness::Watchdog;

const TIMEOUT: Duration = Duration::from_millis(50);
/// More than enough for a child to end.
const MINUTE: Duration = Duration::from_mins(1);

fn assert_expired<T>(start: Instant, result: Result<T, SubprocessError>) {
    let error = result.err();
    let expired = matches!(error, Some(SubprocessError::TimeoutExpired { .. }));
    assert!(expired, "{error:?}");
    assert!(start.elapsed() >= TIMEOUT);
}

#[test]
fn a_time_out_needs_no_further_descriptor() {
    let _watchdog = Watchdog::start();
    let mut cat = Command::new("cat");
    cat.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut waited_for = Popen::new(&mut cat).unwrap();
    // It writes, closes its output, and stays.
    let mut shell = Command::new("sh");
    shell.args(["-c", "echo out; exec >&-; read -r _"]);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut asked = Popen::new(&mut shell).unwrap();
    // Or `communicate` would end it by the end of its input.
    let input = asked.stdin.take();

    let before = getrlimit(Resource::Nofile);
    let lowered = Rlimit {
        current: Some(3),
        ..before
    };
    setrlimit(Resource::Nofile, lowered).unwrap();
    // Those below the limit that were free.
    let opened: Vec<File> = iter::from_fn(|| File::open("/dev/null").ok()).collect();

    let start = Instant::now();
    assert_expired(start, waited_for.wait_timeout(TIMEOUT));
    waited_for.stdin = None;
    assert_eq!(waited_for.wait_timeout(MINUTE).unwrap(), 0);

    let start = Instant::now();
    assert_expired(start, asked.communicate_timeout("", TIMEOUT));
    assert_eq!(asked.received().0, Some("out\n".as_bytes()));
    drop(input);
    let (out, _) = asked.communicate_timeout("", MINUTE).unwrap();
    assert_eq!(out, Some("out\n".as_bytes()));

    drop(opened);
    setrlimit(Resource::Nofile, before).unwrap();
}
