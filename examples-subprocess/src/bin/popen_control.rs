//! Polls a child that runs, signals it, and shows the return code that each signal
//! leaves.
//!
//! Listing V7, 《Python标准库（中）》`Popen()` (prose). The child is a `cat` that waits for
//! input.

use std::process::{Command, Stdio};

use subprocess::{Popen, Signal, SubprocessError};
use tutorial::Result;

fn cat() -> Result<Popen, SubprocessError> {
    Popen::new(Command::new("cat").stdin(Stdio::piped()))
}

fn main() -> Result<()> {
    let mut child = cat()?;
    println!("pid: {}", child.pid());
    println!("poll(): {:?}", child.poll()?);
    child.send_signal(Signal::SIGUSR1)?;
    println!("send_signal(SIGUSR1): {}", child.wait()?);

    let mut child = cat()?;
    child.terminate()?;
    println!("terminate(): {}", child.wait()?);

    let mut child = cat()?;
    child.kill()?;
    println!("kill(): {}", child.wait()?);
    println!("poll(): {:?}", child.poll()?);
    // Its id may belong to another process by now, so this sends nothing.
    child.terminate()?;
    Ok(())
}
