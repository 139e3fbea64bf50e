//! What the arguments, methods and attributes of Python's `Popen` are here.
//!
//! Listing N28, notebook, 用Popen类创建进程 (prose). Most arguments are methods of
//! `Command`. `shell` is off unless asked for: the notebook's `shell=True` is not
//! Python's default. `startupinfo` and `creationflags` are for Windows only. Code that
//! runs between fork and exec (`pre_exec`) may do no more than a signal handler and so
//! is `unsafe`; Python's `preexec_fn` has the same rule and does not check it.
#![expect(unsafe_code, reason = "pre_exec is what three of the arguments are")]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, Stdio};
use std::{env, time::Duration};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, setrlimit, setsid};
use subprocess::{Popen, call, check_output};
use tutorial::{Failure, Result, seconds};

fn sh(script: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]);
    shell
}

// Text mode (`text=True`, once `universal_newlines`) is decoding the bytes.
fn show(argument: &str, command: &mut Command) -> Result<()> {
    let output = String::from_utf8(check_output(command)?)?;
    println!("{argument}: {}", output.trim_end());
    Ok(())
}

fn arguments() -> Result<()> {
    show("shell", &mut sh("echo one two | wc -w"))?;
    show("cwd", sh("pwd").current_dir("/"))?;
    show("env", sh("echo $GREETING").env("GREETING", "hello"))?;
    // The program is still /bin/sh, but it is given another name.
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

    // A Rust program ignores SIGPIPE, as Python does. Its child does not.
    println!("restore_signals: {}", call(&mut sh("kill -PIPE $$"))?);
    Ok(())
}

fn is_open(fd: &impl AsRawFd) -> Command {
    let fd = fd.as_raw_fd();
    sh(&format!("[ -e /dev/fd/{fd} ] && echo open || echo closed"))
}

fn descriptors() -> Result<()> {
    let (reader, writer) = io::pipe()?;
    // What std opens closes on exec, so there is no close_fds to ask for.
    show("close_fds", &mut is_open(&reader))?;

    let mut child = is_open(&reader);
    // In the child alone: in the parent, every other child that is started meanwhile
    // would inherit the descriptor too.
    let pass_fds = move || Ok(fcntl_setfd(&reader, FdFlags::empty())?);
    // SAFETY: as above.
    unsafe { child.pre_exec(pass_fds) };
    show("pass_fds", &mut child)?;

    // Python's close_fds closes what does not close on exec as well, for instance what
    // this program was started with. Here every child inherits that.
    fcntl_setfd(&writer, FdFlags::empty())?;
    show("an inheritable descriptor", &mut is_open(&writer))
}

fn streams() -> Result<()> {
    let file = format!("popen_options-{}.txt", process::id());
    let path = &env::temp_dir().join(file);
    let stdout = File::create_new(path).map_err(Failure::at(path))?;
    call(sh("echo hello").stdout(stdout))?;
    let text = fs::read_to_string(path).map_err(Failure::at(path))?;
    print!("stdout={}: {text}", path.display());
    fs::remove_file(path).map_err(Failure::at(path))?;

    call(sh("echo nobody sees this").stdout(Stdio::null()))?;
    println!("stdout=DEVNULL: nothing");

    // The pipes of a child have no buffer, as with bufsize=0. This adds one.
    let mut child = Popen::new(sh("wc -l").stdin(Stdio::piped()))?;
    let mut stdin = BufWriter::with_capacity(4096, child.stdin.take().unwrap());
    print!("bufsize: ");
    io::stdout().flush()?;
    stdin.write_all(b"one\ntwo\nthree\n")?;
    stdin.flush()?;
    drop(stdin);
    child.wait()?;
    Ok(())
}

fn methods() -> Result<()> {
    let mut child =
        Popen::new(sh("cat").stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    println!("pid: {}", child.pid());
    println!("poll(): {:?}", child.poll()?);
    if let Err(error) = child.wait_timeout(seconds(1.0)) {
        println!("wait(timeout): {error}");
    }
    // check_output(input=…) is this, too.
    let (out, err) = child.communicate_timeout("input", Duration::from_mins(1))?;
    let out = out.map(String::from_utf8_lossy);
    println!("communicate(input, timeout): {:?}", (out, err));
    println!("returncode: {:?}", child.returncode());

    // call(timeout=1) and check_output(timeout=1) kill a child that takes longer.
    let mut child = Popen::new(&mut sh("exec sleep 60"))?;
    if child.wait_timeout(seconds(1.0)).is_err() {
        child.kill()?;
    }
    println!("call(timeout): {}", child.wait()?);
    Ok(())
}

fn main() -> Result<()> {
    arguments()?;
    descriptors()?;
    streams()?;
    methods()
}
