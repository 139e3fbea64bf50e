//! Runs `ls -l` in the foreground and keeps how it ended.
//!
//! Listing V1, 《Python标准库（中）》一 §1. An `ExitStatus` is not a number: a program
//! that a signal ended has no exit code (Python makes that a negative one).

use std::process::{Command, ExitCode};

use subprocess::{SubprocessError, not_started, report};

fn run() -> Result<(), SubprocessError> {
    let _rc = Command::new("ls")
        .arg("-l")
        .status()
        .map_err(not_started("ls"))?;
    Ok(())
}

fn main() -> ExitCode {
    report(run())
}
