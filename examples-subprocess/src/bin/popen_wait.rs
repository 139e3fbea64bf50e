//! Starts `ping` and waits for it. An argument names another host.
//!
//! Listing V6, 《Python标准库（中）》`Popen()`.

use std::env;
use std::process::Command;

use subprocess::Popen;
use tutorial::Result;

fn main() -> Result<()> {
    let host = env::args().nth(1).unwrap_or("www.google.com".into());
    let mut child = Popen::new(Command::new("ping").args(["-c", "5", &host]))?;
    child.wait()?;
    println!("parent process");
    Ok(())
}
