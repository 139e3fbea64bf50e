//! Looks after a child that runs, signals it, and shows the code that each leaves.
//!
//! Listing V7, 《Python标准库（中）》一 §2, where it is prose. The child is a `cat` that
//! waits for input.

use std::process::{Command, ExitCode, Stdio};

use subprocess::{Popen, Signal, SubprocessError, report};

fn cat() -> Result<Popen, SubprocessError> {
    Popen::new(Command::new("cat").stdin(Stdio::piped()))
}

fn run() -> Result<(), SubprocessError> {
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
    // Its id may be another process's by now: this sends nothing.
    child.terminate()?;
    Ok(())
}

fn main() -> ExitCode {
    report(run())
}
