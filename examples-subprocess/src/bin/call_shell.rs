//! Hands a whole command line to a shell, which can do more than start programs.
//!
//! Listing V2, 《Python标准库（中）》一 §1. There is no `shell=True`: a `Command` starts
//! the program it names, and the shell is one more program. Python keeps the shell's
//! code and goes on; here a shell that fails tells its code.

use std::process::{Command, ExitCode};

use subprocess::{SubprocessError, check_call, report};

fn run() -> Result<(), SubprocessError> {
    check_call(Command::new("/bin/sh").args(["-c", "ls -l"]))?;
    // It is the shell that changes its directory, and then ends: nothing comes of it.
    check_call(Command::new("/bin/sh").args(["-c", "cd .."]))?;
    Ok(())
}

fn main() -> ExitCode {
    report(run())
}
