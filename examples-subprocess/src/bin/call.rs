//! Runs `ls -l` in the foreground and keeps its exit code.
//!
//! Listing V1, 《Python标准库（中）》subprocess以及常用的封装函数. A program that a signal ended has
//! no exit code: `call` returns the signal as a negative number, as Python does.

use std::process::Command;

use subprocess::call;
use tutorial::Result;

fn main() -> Result<()> {
    let _rc = call(Command::new("ls").arg("-l"))?;
    Ok(())
}
