//! Starts `ping` and does not wait for it. An argument names another host.
//!
//! Listing V5, 《Python标准库（中）》一 §2. A `Child` that is dropped runs on, as in
//! Python: the shell's prompt is back before `ping` is done.

use std::env;
use std::process::{Command, ExitCode};

use subprocess::{Popen, SubprocessError, report};

fn run() -> Result<(), SubprocessError> {
    let host = env::args().nth(1).unwrap_or("www.google.com".into());
    let _child = Popen::new(Command::new("ping").args(["-c", "5", &host]))?;
    println!("parent process");
    Ok(())
}

fn main() -> ExitCode {
    report(run())
}
