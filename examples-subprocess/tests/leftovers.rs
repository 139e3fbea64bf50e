//! A thousand children in a row: alone in their process, whose children are counted.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};
use subprocess::{Popen, SubprocessError};
use tutorial::harness::Watchdog;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_thousand_children_leave_no_zombie_and_no_descriptor() {
    let _watchdog = Watchdog::start();
    let before = descriptors();
    for round in 0..250 {
        let mut piped = Command::new("cat");
        piped
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());

        let mut child = Popen::new(&mut piped).unwrap();
        child.communicate("vamei").unwrap();

        let mut child = Popen::new(&mut piped).unwrap();
        child.stdin = None;
        child.wait_timeout(Duration::from_mins(1)).unwrap();

        let mut child = Popen::new(&mut piped).unwrap();
        let early = child.wait_timeout(Duration::ZERO);
        assert!(matches!(early, Err(SubprocessError::TimeoutExpired { .. })));
        child.terminate().unwrap();
        assert_eq!(child.wait().unwrap(), -15);

        let mut child = Popen::new(&mut piped).unwrap();
        child.communicate_timeout("", Duration::MAX).unwrap();
        assert_eq!(child.poll().unwrap(), Some(0), "round {round}");
    }
    assert_eq!(descriptors(), before);
    let any_child = waitpid(None, Some(WaitPidFlag::WNOHANG));
    assert_eq!(any_child, Err(Errno::ECHILD), "a child is left");
}
