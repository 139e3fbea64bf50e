//! What the arguments, methods and attributes of Python's `Popen` are here.
//!
//! Listing N28, notebook, 用Popen类创建进程, where it is prose. Most arguments are methods
//! of `Command`. `preexec_fn`, `start_new_session` and `pass_fds` are code that runs
//! between fork and exec: a `pre_exec`, which may do no more than a signal handler
//! (no allocation, no lock) and so is `unsafe`. Python asks for the same, unchecked.
#![expect(unsafe_code, reason = "pre_exec is what three of the arguments are")]

use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, setrlimit, setsid};
use subprocess::{Popen, SubprocessError, check_output, report};
use tutorial::seconds;

fn sh(script: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]);
    shell
}

fn show(argument: &str, command: &mut Command) -> Result<(), SubprocessError> {
    let output = check_output(command)?;
    println!(
        "{argument}: {}",
        String::from_utf8_lossy(&output).trim_end()
    );
    Ok(())
}

fn failed(source: io::Error) -> SubprocessError {
    let cmd = "popen_options".into();
    SubprocessError::Io { cmd, source }
}

fn arguments() -> Result<(), SubprocessError> {
    show("shell", &mut sh("echo one two | wc -w"))?;
    show("cwd", sh("pwd").current_dir("/"))?;
    show("env", sh("echo $GREETING").env("GREETING", "hello"))?;
    // The program is still /bin/sh, but it is told another name.
    show("executable", sh("echo $0").arg0("another name"))?;

    let mut child = sh("ulimit -n");
    let files = Rlimit {
        current: Some(64),
        maximum: Some(64),
    };
    let preexec_fn = move || Ok(setrlimit(Resource::Nofile, files)?);
    // SAFETY: the closure makes one system call and nothing else.
    unsafe { child.pre_exec(preexec_fn) };
    show("preexec_fn", &mut child)?;

    let mut child = sh("read pid comm state ppid pgrp session rest </proc/self/stat
        [ $session = $$ ] && echo the child leads a session");
    // SAFETY: as above.
    unsafe { child.pre_exec(|| Ok(setsid().map(drop)?)) };
    show("start_new_session", &mut child)?;

    let (reader, mut writer) = io::pipe().map_err(failed)?;
    writer.write_all(b"a message").map_err(failed)?;
    drop(writer);
    let fd = reader.as_raw_fd();
    let mut child = sh(&format!("cat /dev/fd/{fd} 2>/dev/null || echo closed"));
    // What std opens closes on exec, so there is no close_fds to ask for.
    show("close_fds", &mut child)?;
    // Undone in the child alone: in the parent, every other child started meanwhile
    // would inherit the descriptor too.
    let pass_fds = move || Ok(fcntl_setfd(&reader, FdFlags::empty())?);
    // SAFETY: as above.
    unsafe { child.pre_exec(pass_fds) };
    show("pass_fds", &mut child)?;

    // The pipes of a child have no buffer, as with bufsize=0; who wants one adds it.
    let mut child = Popen::new(sh("wc -l").stdin(Stdio::piped()))?;
    let mut stdin = BufWriter::with_capacity(4096, child.stdin.take().unwrap());
    print!("bufsize: ");
    io::stdout().flush().map_err(failed)?;
    stdin.write_all(b"one\ntwo\nthree\n").map_err(failed)?;
    stdin.flush().map_err(failed)?;
    drop(stdin);
    child.wait()?;
    Ok(())
}

fn methods() -> Result<(), SubprocessError> {
    let mut child =
        Popen::new(sh("cat").stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    println!("pid: {}", child.pid());
    println!("poll(): {:?}", child.poll()?);
    if let Err(error) = child.wait_timeout(seconds(1.0)) {
        println!("wait(timeout): {error}");
    }
    let (out, err) = child.communicate_timeout("input", Duration::from_mins(1))?;
    let out = out.map(String::from_utf8_lossy);
    println!("communicate(input, timeout): {:?}", (out, err));
    println!("returncode: {:?}", child.returncode());
    Ok(())
}

fn main() -> ExitCode {
    report(arguments().and_then(|()| methods()))
}
