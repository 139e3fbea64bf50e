//! Input and output at the same time, whatever the child does meanwhile.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use subprocess::{Popen, SubprocessError};
use tutorial::harness::Watchdog;

/// More than any pipe holds.
const LARGE: usize = 1 << 20;

fn sh(script: &str) -> Popen {
    Popen::new(
        Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )
    .unwrap()
}

fn timed_out<T>(result: Result<T, SubprocessError>) -> bool {
    matches!(result, Err(SubprocessError::TimeoutExpired { .. }))
}

/// Asks until it is so. The watchdog ends a test in which it never is.
fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Bytes no two stretches of which are alike.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn a_child_that_ends_without_reading_is_not_an_error() {
    let _watchdog = Watchdog::start();
    let mut child = sh("echo enough; exit 3");
    let got = child.communicate(noise(LARGE)).unwrap();
    assert_eq!(got, (Some("enough\n".as_bytes()), Some(&[][..])));
    assert_eq!(child.returncode(), Some(3));
}

#[test]
fn output_is_read_to_the_end_though_the_child_closes_its_input() {
    let _watchdog = Watchdog::start();
    let mut child = sh("exec <&-; sleep 0.1; echo still here");
    let got = child.communicate(noise(LARGE)).unwrap();
    assert_eq!(got.0, Some("still here\n".as_bytes()));
}

#[test]
fn a_child_may_write_to_its_standard_error_alone() {
    let _watchdog = Watchdog::start();
    let mut child = sh("head -c 1048576 /dev/zero >&2");
    let (out, err) = child.communicate("").unwrap();
    assert_eq!(out, Some(&[][..]));
    assert_eq!(err.unwrap(), vec![0; LARGE]);
}

#[test]
fn a_child_may_fill_both_streams_before_it_reads() {
    let _watchdog = Watchdog::start();
    let mut child =
        sh("head -c 1048576 /dev/zero; head -c 1048576 /dev/zero >&2; cat");
    let input = noise(LARGE);
    let (out, err) = child.communicate(&*input).unwrap();
    assert_eq!(out.unwrap().len(), 2 * LARGE);
    assert!(out.unwrap().ends_with(&input));
    assert_eq!(err.unwrap().len(), LARGE);
}

#[test]
fn a_stream_that_is_not_a_pipe_is_none() {
    let _watchdog = Watchdog::start();
    let mut child = Popen::new(Command::new("true").stdout(Stdio::null())).unwrap();
    assert_eq!(child.communicate("").unwrap(), (None, None));
    assert_eq!(child.returncode(), Some(0));
}

#[test]
fn after_a_time_out_nothing_is_lost() {
    let _watchdog = Watchdog::start();
    let input = noise(8 * LARGE);
    let mut child = sh("sleep 0.05; cat; sleep 0.05; echo done >&2");
    let mut timeouts = 0;
    let mut next = input.clone();
    while timed_out(child.communicate_timeout(next, Duration::from_millis(1))) {
        timeouts += 1;
        next = Vec::new();
    }
    assert!(timeouts >= 2, "{timeouts}");
    let (out, err) = child.received();
    assert!(out.unwrap() == input, "other bytes came back");
    assert_eq!(err, Some("done\n".as_bytes()));
    assert_eq!(child.returncode(), Some(0));
}

#[test]
fn a_time_out_of_zero_takes_what_is_there() {
    let _watchdog = Watchdog::start();
    let mut child = sh("echo here; exec sleep 60");
    until(|| {
        assert!(timed_out(child.communicate_timeout("", Duration::ZERO)));
        child.received().0 == Some("here\n".as_bytes())
    });
    assert_eq!(child.poll().unwrap(), None);
    child.kill().unwrap();
    let (out, _) = child.communicate("").unwrap();
    assert_eq!(out, Some("here\n".as_bytes()));
}

#[test]
fn a_child_that_never_stops_writing_times_out() {
    let _watchdog = Watchdog::start();
    let mut child = sh("exec yes");
    assert!(timed_out(
        child.communicate_timeout("", Duration::from_millis(20))
    ));
    child.kill().unwrap();
    let (out, _) = child.communicate("").unwrap();
    assert!(out.unwrap().starts_with(b"y\ny\n"));
    assert_eq!(child.returncode(), Some(-9));
}

#[test]
fn a_grandchild_that_holds_the_pipe_times_out() {
    let _watchdog = Watchdog::start();
    let mut child = sh("sleep 60 & echo $!; exit 3");
    until(|| {
        let shortly = Duration::from_millis(20);
        assert!(timed_out(child.communicate_timeout("", shortly)));
        let (out, _) = child.received();
        out.unwrap().ends_with(b"\n") && child.poll().unwrap().is_some()
    });
    let pid = String::from_utf8_lossy(child.received().0.unwrap()).into_owned();
    let grandchild = Pid::from_raw(pid.trim_end().parse().unwrap());
    assert_eq!(child.returncode(), Some(3));
    kill(grandchild, Signal::SIGKILL).unwrap();
    let (out, _) = child.communicate("").unwrap();
    assert_eq!(out, Some(pid.as_bytes()));
    assert_eq!(child.returncode(), Some(3));
}

#[test]
fn output_of_a_killed_child_is_kept() {
    let _watchdog = Watchdog::start();
    let mut child = sh("head -c 100000; kill -KILL $$");
    let input = noise(LARGE);
    let (out, _) = child.communicate(&*input).unwrap();
    assert_eq!(out, Some(&input[..100_000]));
    assert_eq!(child.returncode(), Some(-9));

    let mut child = sh("head -c 100000; exec sleep 60");
    let shortly = Duration::from_millis(50);
    assert!(timed_out(child.communicate_timeout(&*input, shortly)));
    child.kill().unwrap();
    let (out, _) = child.communicate("").unwrap();
    assert!(input.starts_with(out.unwrap()));
    assert_eq!(child.returncode(), Some(-9));
}

#[test]
fn another_call_returns_the_same_again() {
    let _watchdog = Watchdog::start();
    let mut child = sh("cat; echo err >&2");
    let first = child.communicate("vamei").unwrap();
    assert_eq!(first, (Some("vamei".as_bytes()), Some("err\n".as_bytes())));
    let again = child.communicate("").unwrap();
    assert_eq!(again, (Some("vamei".as_bytes()), Some("err\n".as_bytes())));
}

#[test]
fn input_that_cannot_be_sent_is_refused() {
    let _watchdog = Watchdog::start();
    let mut child = sh("cat");
    child.communicate("all of it").unwrap();
    let error = child.communicate("and more").unwrap_err();
    assert!(matches!(error, SubprocessError::InputRefused { .. }));
    assert_eq!(
        error.to_string(),
        "`sh -c cat` takes no input now: make its standard input a pipe, and give \
         the first communicate() all there is to send."
    );

    let mut child = Popen::new(Command::new("cat").stdin(Stdio::null())).unwrap();
    let error = child.communicate("vamei").unwrap_err();
    assert!(matches!(error, SubprocessError::InputRefused { .. }));
    assert_eq!(child.wait().unwrap(), 0);
}
