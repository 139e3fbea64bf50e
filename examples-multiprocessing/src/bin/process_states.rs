//! The states of a process, as the notes and as the kernel name them, and why.
//!
//! Listing D17, 达内 course notes, 4) 进程的状态 (prose): three states are 就绪 (ready),
//! 执行 (running) and 阻塞 (blocked); five have 新建 (new) and 终止 (ended) as well. The
//! kernel's R is both ready and running; its T is none of the five.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use multiprocessing::{Connection, Process, pipe};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tutorial::Result;

fn child(messages: &Connection) -> Result<()> {
    while !messages.poll(Duration::ZERO)? {} // Busy until there is a message.
    messages.recv::<()>()?;
    messages.recv::<()>()?; // It blocks for ever: there is only one.
    Ok(())
}

/// Waits until the kernel's word for a process begins with this letter, and prints
/// it.
fn show(event: &str, state: &str, pid: Pid, letter: char) -> Result<()> {
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mut words = status.lines().filter_map(|l| l.strip_prefix("State:\t"));
        if let Some(word) = words.next()
            && word.starts_with(letter)
        {
            println!("{event}: {state}: {word}");
            return Ok(());
        }
        sleep(Duration::from_millis(1));
    }
}

fn main() -> Result<()> {
    let (messages, to_child) = pipe(false)?;
    let mut p = Process::new(|| child(&messages));
    println!("Process(): 新建: pid {:?}", p.pid());
    p.start()?;
    let pid = Pid::from_raw(p.handle()?.pid());
    show("start()", "就绪, 执行", pid, 'R')?;
    to_child.send(&())?;
    show("it waits for a message", "阻塞", pid, 'S')?;
    kill(pid, Signal::SIGSTOP)?;
    show("SIGSTOP", "none of the five", pid, 'T')?;
    kill(pid, Signal::SIGCONT)?;
    show("SIGCONT", "阻塞", pid, 'S')?;
    p.terminate()?;
    show("terminate()", "终止", pid, 'Z')?;
    p.join()?;
    println!("join(): exitcode {:?}", p.exitcode());
    Ok(())
}
