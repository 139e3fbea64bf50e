//! `kill` sends a signal to one process, `killpg` to a whole process group.
//!
//! Listing V15, 《Python标准库（中）》4、发送信号 (prose). The children are `cat`s that wait for
//! input. Their input ends when this program ends, however it ends, and so do they.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tutorial::{Failure, Result};

/// Starts a child in this process group; 0 stands for a new group that it leads.
fn start(group: Pid) -> Result<Child> {
    Command::new("cat")
        .stdin(Stdio::piped())
        .process_group(group.as_raw())
        .spawn()
        .map_err(Failure::at("cat"))
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn ended_by(child: &mut Child) -> Result<String> {
    let signal = child.wait()?.signal();
    Ok(signal.map_or("ended by itself".into(), |signum| {
        format!("ended by {signum}")
    }))
}

fn main() -> Result<()> {
    let new_group = Pid::from_raw(0);
    let mut one = start(new_group)?;
    let leader = start(new_group)?;
    let pgid = pid(&leader); // A group has the id of its leader.
    let group = [leader, start(pgid)?, start(pgid)?];
    let mut bystander = start(new_group)?;

    // os.kill(pid, sid)
    kill(pid(&one), Signal::SIGTERM)?;
    println!("kill: {}", ended_by(&mut one)?);

    // os.killpg(pgid, sid)
    killpg(pgid, Signal::SIGTERM)?;
    for mut child in group {
        println!("killpg: {}", ended_by(&mut child)?);
    }

    if bystander.try_wait()?.is_none() {
        println!("The bystander still runs");
    }
    bystander.kill()?; // SIGKILL
    println!("kill: {}", ended_by(&mut bystander)?);
    Ok(())
}
