//! A child that has ended stays a zombie until its parent waits for it.
//!
//! Listing D9, 达内 course notes, 几类特殊的进程 (prose).

use std::fs;

use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use tutorial::{Result, sleep};

/// The state of a process as the kernel reports it.
fn state(pid: Pid) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let state = status.ok().and_then(|status| {
        let line = status.lines().find(|line| line.starts_with("State:"))?;
        Some(line.to_string())
    });
    state.unwrap_or_else(|| "no such process".into())
}

fn main() -> Result<()> {
    #[expect(unsafe_code, reason = "fork is the lesson")]
    // SAFETY: this process has only the one thread.
    let pid = unsafe { fork() }?;
    if let ForkResult::Parent { child } = pid {
        // Returns when the child has ended, and leaves it a zombie.
        waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        println!("child id {child}, not waited for: {}", state(child));
        sleep(1.0);
        println!("a second later: {}", state(child));
        waitpid(child, None)?;
        println!("waited for: {}", state(child));
    }
    Ok(())
}
