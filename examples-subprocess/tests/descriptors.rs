//! Which of the parent's descriptors a child has.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use subprocess::Popen;
use tutorial::harness::Watchdog;

/// The descriptors of a process.
fn descriptors(process: &str) -> BTreeSet<u32> {
    fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.parse().unwrap())
        .collect()
}

/// The descriptors that this process was handed to hand on, as by a build tool that
/// runs the tests: those that do not close on exec.
fn handed_on() -> BTreeSet<u32> {
    const O_CLOEXEC: u32 = 0o2_000_000;
    let closes_on_exec = |fd: &u32| {
        let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")) else {
            return true; // It was the reading of the directory itself.
        };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        u32::from_str_radix(flags.unwrap().trim(), 8).unwrap() & O_CLOEXEC != 0
    };
    let mut fds = descriptors("self");
    fds.retain(|fd| !closes_on_exec(fd));
    fds
}

#[test]
fn a_child_has_its_three_streams_and_what_was_passed_on_purpose() {
    let _watchdog = Watchdog::start();
    let expected = &handed_on() | &BTreeSet::from([0, 1, 2]);

    let _file = File::open("/dev/null").unwrap();
    let _pipe = io::pipe().unwrap();
    let _sockets = UnixStream::pair().unwrap();
    let _listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut cat = Command::new("cat");
    cat.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Each has the parent hold three pipes more, which the next must not inherit.
    let mut children: Vec<Popen> =
        (0..3).map(|_| Popen::new(&mut cat).unwrap()).collect();
    for child in &mut children {
        // It answers, so it is through with opening its libraries.
        child.stdin.as_mut().unwrap().write_all(b"?").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let descriptors = descriptors(&child.pid().to_string());
        println!("child {}: {descriptors:?}", child.pid());
        assert_eq!(descriptors, expected);
    }
    // It ends by its closed input though the others still run.
    for child in &mut children {
        assert_eq!(child.wait().unwrap(), 0);
    }
}
