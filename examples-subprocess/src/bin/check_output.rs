//! What a program writes comes back as a value, and with the error where it fails.
//!
//! Listing V4, 《Python标准库（中）》一 §1, where it is prose. The output is bytes, as in
//! Python: whether they are text is for the caller to say.

use std::process::{Command, ExitCode};

use subprocess::{SubprocessError, check_output, report};

fn run() -> Result<(), SubprocessError> {
    let output = check_output(Command::new("echo").arg("Hello world"))?;
    println!("output: {:?}", String::from_utf8_lossy(&output));

    match check_output(Command::new("sh").args(["-c", "echo half; exit 3"])) {
        Err(SubprocessError::CalledProcess(error)) => {
            let output = error.output.unwrap_or_default();
            println!("returncode: {}", error.returncode);
            println!("output: {:?}", String::from_utf8_lossy(&output));
        }
        other => return other.map(|_| ()),
    }
    Ok(())
}

fn main() -> ExitCode {
    report(run())
}
