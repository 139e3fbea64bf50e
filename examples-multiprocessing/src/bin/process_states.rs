//! The states that a process passes through, as the kernel tells them.
//!
//! Listing D17, 达内 course notes, day01 进程的状态 (prose).

use std::time::Duration;
use std::{fs, thread};

use multiprocessing::{Connection, Process, pipe};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tutorial::Result;

fn child(told: &Connection) {
    // Busy until there is something to read, then asleep over the next message.
    while !told.poll(Duration::ZERO).unwrap_or(true) {}
    let _first = told.recv::<()>();
    let _never = told.recv::<()>();
}

/// Waits until the kernel has this letter for a process, and prints the whole word.
fn expect(pid: Pid, letter: char) -> Result<()> {
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let state = status
            .lines()
            .find_map(|line| line.strip_prefix("State:\t"));
        if let Some(state) = state
            && state.starts_with(letter)
        {
            println!("{state}");
            return Ok(());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn main() -> Result<()> {
    let (told, tell) = pipe(false)?;
    let mut p = Process::new(|| child(&told));
    println!("new: {:?}", p.pid());
    p.start()?;
    let pid = Pid::from_raw(p.handle()?.pid());
    expect(pid, 'R')?;
    tell.send(&())?;
    expect(pid, 'S')?;
    kill(pid, Signal::SIGSTOP)?;
    expect(pid, 'T')?;
    kill(pid, Signal::SIGCONT)?;
    expect(pid, 'S')?;
    p.terminate()?;
    expect(pid, 'Z')?;
    p.join()?;
    println!("gone: {:?}", p.exitcode());
    Ok(())
}
