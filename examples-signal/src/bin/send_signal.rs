//! `kill` sends a signal to one process, `killpg` to a whole process group.
//!
//! Listing V15, 《Python标准库（中）》二 §4 (prose). The children are `cat`s that wait for
//! input. They end with this program, whatever ends it, because their input does.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Child, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Starts a child in this process group; 0 stands for a new group that it leads.
fn start(group: Pid) -> Child {
    Command::new("cat")
        .stdin(Stdio::piped())
        .process_group(group.as_raw())
        .spawn()
        .unwrap_or_else(|error| {
            eprintln!("cat could not be started: {error}");
            process::exit(127)
        })
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn ended_by(child: &mut Child) -> String {
    let signal = child.wait().unwrap().signal();
    signal.map_or("ended by itself".into(), |signum| {
        format!("ended by {signum}")
    })
}

fn main() {
    let new_group = Pid::from_raw(0);
    let mut one = start(new_group);
    let leader = start(new_group);
    let pgid = pid(&leader); // A group has the id of its leader.
    let group = [leader, start(pgid), start(pgid)];
    let mut bystander = start(new_group);

    // os.kill(pid, sid)
    kill(pid(&one), Signal::SIGTERM).unwrap();
    println!("kill: {}", ended_by(&mut one));

    // os.killpg(pgid, sid)
    killpg(pgid, Signal::SIGTERM).unwrap();
    for mut child in group {
        println!("killpg: {}", ended_by(&mut child));
    }

    if bystander.try_wait().unwrap().is_none() {
        println!("The bystander still runs");
    }
    bystander.kill().unwrap(); // SIGKILL
    println!("kill: {}", ended_by(&mut bystander));
}
