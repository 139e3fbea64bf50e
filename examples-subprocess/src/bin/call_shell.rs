//! Hands a whole command line to a shell, which can do more than start programs.
//!
//! Listing V2, 《Python标准库（中）》subprocess以及常用的封装函数. There is no `shell=True`: a
//! `Command` starts the program that it names, and the shell is one more program. As
//! in Python the exit code is returned and not looked at.

use std::process::Command;

use subprocess::call;
use tutorial::Result;

fn main() -> Result<()> {
    call(Command::new("/bin/sh").args(["-c", "ls -l"]))?;
    // The shell changes its own directory and then ends, so nothing comes of it.
    call(Command::new("/bin/sh").args(["-c", "cd .."]))?;
    Ok(())
}
