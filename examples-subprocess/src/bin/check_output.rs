//! What a program writes comes back as a value, and with the error if it fails.
//!
//! Listing V4, 《Python标准库（中）》subprocess以及常用的封装函数 (prose). The output is bytes, as in
//! Python: the caller decides whether they are text.

use std::process::Command;

use subprocess::{SubprocessError, check_output};
use tutorial::Result;

fn show(output: &[u8]) {
    println!("output: {:?}", String::from_utf8_lossy(output));
}

fn main() -> Result<()> {
    show(&check_output(Command::new("echo").arg("Hello world"))?);

    match check_output(Command::new("sh").args(["-c", "echo half; exit 3"])) {
        Ok(output) => show(&output),
        Err(SubprocessError::CalledProcess(error)) => {
            println!("returncode: {}", error.returncode);
            show(&error.output.unwrap_or_default());
        }
        Err(other) => return Err(other.into()),
    }
    Ok(())
}
