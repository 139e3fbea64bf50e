//! The numbers of signals, and the alarm: V10, V14.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tutorial::harness::{Watchdog, listing};

/// Insists on `not yet` line by line, then the message once, and exit code 0. Keeps no
/// lines, there are millions. Returns after what time the message came.
fn not_yet_until_the_message(tempo: &str, once_it_prints: fn(Pid)) -> Duration {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_alarm"))
        .env("TEMPO", tempo)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    let watchdog = Watchdog::over(pid);

    let mut rang = None;
    for (i, line) in BufReader::new(child.stdout.take().unwrap())
        .lines()
        .enumerate()
    {
        if i == 0 {
            once_it_prints(pid);
        }
        let line = line.unwrap();
        assert_eq!(rang, None, "line {i} is {line}");
        if line == "Now, it's the time" {
            rang = Some(start.elapsed());
        } else {
            assert_eq!(line, "not yet", "line {i}");
        }
    }
    drop(watchdog);
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    rang.expect("the message")
}

#[test]
fn signal_names_are_the_systems_numbers() {
    assert_eq!(listing!("signal_names").run().success(), ["14", "18"]);
}

#[test]
fn alarm_says_not_yet_for_five_seconds_at_its_tempo() {
    let rang = not_yet_until_the_message("4", |_| ());
    assert!(rang >= Duration::from_millis(1250), "{rang:?}");
}

#[test]
fn alarm_rings_sooner_at_any_quick_tempo() {
    for tempo in ["1e3", "1e9", "1e99"] {
        let rang = not_yet_until_the_message(tempo, |_| ());
        assert!(rang < Duration::from_secs(5), "{rang:?}");
    }
}

#[test]
fn alarm_rings_once_however_many_alarms_come() {
    not_yet_until_the_message("1", |pid| {
        for _ in 0..10_000 {
            kill(pid, Signal::SIGALRM).unwrap();
        }
    });
}

#[test]
fn ctrl_c_ends_alarm_before_its_time() {
    let mut run = listing!("alarm").start();
    run.line();
    run.signal(Signal::SIGINT);
    assert_eq!(run.finish().signal(), Some(Signal::SIGINT as i32));
}
