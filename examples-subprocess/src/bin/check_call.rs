//! A program that ends with exit code 0 passes; any other is an error.
//!
//! Listing V3, 《Python标准库（中）》一 §1, where it is prose. Python's error is an
//! exception that ends a program which does not catch it; here it is a value that the
//! compiler wants looked at.

use std::process::{Command, ExitCode};

use subprocess::{SubprocessError, check_call, report};

fn run() -> Result<(), SubprocessError> {
    check_call(&mut Command::new("true"))?;
    println!("true: passed");

    match check_call(Command::new("sh").args(["-c", "exit 3"])) {
        Err(SubprocessError::CalledProcess(error)) => {
            println!("exit 3: returncode {}", error.returncode);
        }
        other => return other,
    }
    Ok(())
}

fn main() -> ExitCode {
    report(run())
}
