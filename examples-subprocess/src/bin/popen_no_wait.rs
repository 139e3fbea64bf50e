//! Starts `ping` and does not wait for it. An argument names another host.
//!
//! Listing V5, 《Python标准库（中）》`Popen()`. A child whose `Popen` is dropped runs on, as
//! in Python: the shell's prompt is back before `ping` is done.

use std::env;
use std::process::Command;

use subprocess::Popen;
use tutorial::Result;

fn main() -> Result<()> {
    let host = env::args().nth(1).unwrap_or("www.google.com".into());
    let _child = Popen::new(Command::new("ping").args(["-c", "5", &host]))?;
    println!("parent process");
    Ok(())
}
