//! A program that ends with exit code 0 passes; any other code is an error.
//!
//! Listing V3, 《Python标准库（中）》subprocess以及常用的封装函数 (prose). Python raises an
//! exception, which ends a program that does not catch it. Here the error is a
//! value, and the compiler warns if nobody looks at it.

use std::process::Command;

use subprocess::{SubprocessError, check_call};
use tutorial::Result;

fn main() -> Result<()> {
    check_call(&mut Command::new("true"))?;
    println!("true: passed");

    match check_call(Command::new("sh").args(["-c", "exit 3"])) {
        Ok(()) => println!("exit 3: passed"),
        Err(SubprocessError::CalledProcess(error)) => {
            println!("exit 3: returncode {}", error.returncode);
        }
        Err(other) => return Err(other.into()),
    }
    Ok(())
}
