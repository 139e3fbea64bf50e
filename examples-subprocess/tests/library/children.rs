//! Waiting for children and signalling them.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::pthread::{pthread_kill, pthread_self};
use signal_hook::consts::SIGUSR1;
use subprocess::{
    Popen, Signal, SubprocessError, check_call, check_output, getstatusoutput,
};
use tutorial::harness::Watchdog;

fn cat() -> Popen {
    Popen::new(Command::new("cat").stdin(Stdio::piped())).unwrap()
}

#[test]
fn a_time_out_leaves_the_child_running() {
    let _watchdog = Watchdog::start();
    let mut child = cat();
    let start = Instant::now();
    let error = child.wait_timeout(Duration::from_millis(50)).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(
        error.to_string(),
        "`cat` did not end within 50ms: call again to go on waiting, or end it with \
         terminate() or kill()."
    );
    assert_eq!((child.poll().unwrap(), child.returncode()), (None, None));
    assert_eq!(child.wait().unwrap(), 0); // it closes the input
    assert_eq!(child.wait_timeout(Duration::ZERO).unwrap(), 0);
}

#[test]
fn wait_timeout_is_woken_by_the_end() {
    let _watchdog = Watchdog::start();
    let mut child = cat();
    let stdin = child.stdin.take();
    let ender = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        drop(stdin);
    });
    assert_eq!(child.wait_timeout(Duration::from_mins(1)).unwrap(), 0);
    ender.join().unwrap();
}

/// How often this thread went to sleep.
#[cfg(target_os = "linux")]
fn sleeps() -> u32 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let sleeps = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    sleeps.unwrap().trim().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn wait_timeout_sleeps_and_does_not_poll() {
    let _watchdog = Watchdog::start();
    let mut child = cat();
    let before = sleeps();
    child.wait_timeout(Duration::from_millis(300)).unwrap_err();
    let slept = sleeps() - before;
    assert!(slept <= 3, "went to sleep {slept} times");
    child.wait().unwrap();
}

#[test]
fn a_signal_to_the_parent_interrupts_nothing() {
    let _watchdog = Watchdog::start();
    let handled = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGUSR1, Arc::clone(&handled)).unwrap();
    let mut child = cat();
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat; sleep 0.1; echo done"]);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut talker = Popen::new(&mut shell).unwrap();

    let this = pthread_self();
    let over = &AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(move || {
            while !over.load(Relaxed) {
                pthread_kill(this, Signal::SIGUSR1).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let (out, _) = talker.communicate("vamei ").unwrap();
        assert_eq!(out, Some("vamei done\n".as_bytes()));
        let start = Instant::now();
        child.wait_timeout(Duration::from_millis(50)).unwrap_err();
        assert!(start.elapsed() >= Duration::from_millis(50));
        over.store(true, Relaxed);
    });
    assert!(handled.load(Relaxed));
    child.wait().unwrap();
}

#[test]
fn a_child_that_is_reaped_is_not_signalled() {
    let _watchdog = Watchdog::start();
    let mut child = cat();
    child.wait().unwrap();
    // A signal sent after all would find no process of that id, and say so.
    child.send_signal(Signal::SIGTERM).unwrap();
    child.terminate().unwrap();
    child.kill().unwrap();
    assert_eq!(child.returncode(), Some(0));
}

#[test]
fn a_child_that_has_ended_is_reaped_instead_of_signalled() {
    let _watchdog = Watchdog::start();
    let mut child = Popen::new(Command::new("cat").stdin(Stdio::null())).unwrap();
    while child.returncode().is_none() {
        thread::sleep(Duration::from_millis(5));
        child.send_signal(Signal::SIGCONT).unwrap();
    }
    assert_eq!(child.returncode(), Some(0));
}

#[test]
fn the_error_carries_what_was_captured() {
    let _watchdog = Watchdog::start();
    let mut command = Command::new("sh");
    command.args(["-c", "echo out; echo err >&2; exit 3"]);
    let error = check_output(command.stderr(Stdio::piped())).unwrap_err();
    let SubprocessError::CalledProcess(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.returncode, 3);
    assert_eq!(error.output.as_deref(), Some("out\n".as_bytes()));
    assert_eq!(error.stderr.as_deref(), Some("err\n".as_bytes()));

    let error = check_call(&mut Command::new("false")).unwrap_err();
    let SubprocessError::CalledProcess(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (error.returncode, error.output, error.stderr),
        (1, None, None)
    );
}

#[test]
fn a_missing_directory_is_not_a_missing_program() {
    let _watchdog = Watchdog::start();
    let error =
        check_call(Command::new("true").current_dir("/no/such")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "true could not be started: there is no directory /no/such."
    );
}

#[test]
fn getstatusoutput_strips_one_newline() {
    let _watchdog = Watchdog::start();
    let run = |script| getstatusoutput(script).unwrap();
    assert_eq!(run("printf 'a\\n\\n'"), (0, "a\n".into()));
    assert_eq!(run("printf a"), (0, "a".into()));
    assert_eq!(run("kill -TERM $$"), (-15, String::new()));
    let (code, output) = run("no-such-program");
    assert_eq!(code, 127);
    assert!(output.contains("not found"), "{output}");
}
