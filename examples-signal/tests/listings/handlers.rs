//! Handlers: V11, V12, V13.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tutorial::harness::{Watchdog, listing};

const RECEIVED: &str = "I received:  20";

/// Waits until the process has a handler for the signal: before that, the signal would
/// do what it does by default.
fn wait_for_its_handler(pid: Pid, signal: Signal) {
    let give_up = Instant::now() + Duration::from_mins(1);
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        if caught >> (signal as i32 - 1) & 1 == 1 {
            return;
        }
        assert!(Instant::now() < give_up, "{pid} has no handler of {signal}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn handle_tstp_handles_ctrl_z_on_a_terminal() {
    let (mut terminal, its_side) = pty_process::blocking::open().unwrap();
    let path = env!("CARGO_BIN_EXE_handle_tstp");
    let mut child = pty_process::blocking::Command::new(path)
        .spawn(its_side)
        .unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    let watchdog = Watchdog::over(pid);

    wait_for_its_handler(pid, Signal::SIGTSTP);
    terminal.write_all(b"\x1a").unwrap(); // Ctrl+Z
    let mut shown = Vec::new();
    // It ends by an error: Linux reports so that no process has the terminal open.
    terminal.read_to_end(&mut shown).unwrap_err();
    drop(watchdog);

    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    // The terminal itself shows the key, and ends its lines by CR LF.
    let shown = String::from_utf8(shown).unwrap();
    let shown = shown.replace("^Z", "").replace('\r', "");
    assert_eq!(shown, format!("{RECEIVED}\nEnd of Signal Demo\n"));
}

#[test]
fn handle_tstp_handles_kill_tstp() {
    let run = listing!("handle_tstp").start();
    wait_for_its_handler(run.pid(), Signal::SIGTSTP);
    kill(run.pid(), Signal::SIGTSTP).unwrap();
    assert_eq!(run.finish().success(), [RECEIVED, "End of Signal Demo"]);
}

#[test]
fn handle_tstp_waits_until_ctrl_c_ends_it() {
    let run = listing!("handle_tstp").start();
    wait_for_its_handler(run.pid(), Signal::SIGTSTP);
    thread::sleep(Duration::from_millis(200));
    run.signal(Signal::SIGINT);
    let run = run.finish();
    assert_eq!(run.signal(), Some(Signal::SIGINT as i32), "{run:#?}");
    assert!(run.lines.is_empty(), "{run:#?}");
}

#[test]
fn ignore_and_default_outlives_the_first_signal_only() {
    let run = listing!("ignore_and_default").run();
    assert_eq!(run.signal(), Some(Signal::SIGTERM as i32), "{run:#?}");
    assert_eq!(
        run.lines,
        [
            "SIG_IGN: SIGTERM passed by",
            "SIG_DFL: SIGTERM ends the program",
        ]
    );
    assert!(run.errors.is_empty(), "{run:#?}");
}

#[test]
fn handle_while_working_handles_each_signal_and_does_all_its_work() {
    let mut run = listing!("handle_while_working").tempo(5).start();
    for piece in ["working 2", "working 5"] {
        run.line_with(piece);
        kill(run.pid(), Signal::SIGTSTP).unwrap();
        run.line_with(RECEIVED);
    }
    let lines = run.finish().success();
    assert_eq!(lines.len(), 13, "{lines:#?}");
    let work = lines.into_iter().filter(|line| line != RECEIVED);
    let pieces = (0..10).map(|piece| format!("working {piece}"));
    assert!(work.eq(pieces.chain(["End of Signal Demo".into()])));
}

#[test]
fn handle_while_working_says_what_its_argument_is() {
    for pieces in ["-1", "many", ""] {
        let run = listing!("handle_while_working").arg(pieces).run();
        assert_eq!(run.status.code(), Some(1), "{run:#?}");
        let sentence = format!(
            "Error: PIECES must be a whole number such as 10, not {pieces}."
        );
        assert_eq!(run.errors, [sentence]);
    }
}

/// Sends one signal for each line read. The program can be ahead by no more than a pipe
/// and a reader hold, which is far less than the second half of its lines, so it is
/// printing at full speed whenever a signal arrives.
#[test]
fn ten_thousand_signals_cut_no_line_and_stop_no_printing() {
    const SIGNALS: u64 = 10_000;
    const PIECES: u64 = 2 * SIGNALS;

    let mut child = Command::new(env!("CARGO_BIN_EXE_handle_while_working"))
        .arg(PIECES.to_string())
        .env("TEMPO", "1e99")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    let watchdog = Watchdog::over(pid);

    let (mut piece, mut handled) = (0, 0);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.by_ref().map(Result::unwrap) {
        if line == RECEIVED {
            handled += 1;
        } else if piece < PIECES {
            assert_eq!(line, format!("working {piece}"));
            piece += 1;
        } else {
            assert_eq!(line, "End of Signal Demo");
            break;
        }
        if piece <= SIGNALS && line != RECEIVED {
            kill(pid, Signal::SIGTSTP).unwrap();
        }
    }
    assert!(lines.next().is_none(), "it printed on");
    drop(watchdog);
    let status = child.wait().unwrap();
    assert!(status.success() && piece == PIECES, "{status} at {piece}");
    assert!((1..=SIGNALS).contains(&handled), "{handled}");
}
