//! Runs `nslookup` as if it were typed. An argument names another host.
//!
//! Listing N6, notebook, 多进程.

use std::env;
use std::process::{Command, ExitCode};

use subprocess::{ReturnCode, SubprocessError, not_started, report};

fn run() -> Result<(), SubprocessError> {
    let host = env::args().nth(1).unwrap_or("www.python.org".into());
    println!("$ nslookup {host}");
    let r = Command::new("nslookup")
        .arg(&host)
        .status()
        .map_err(not_started("nslookup"))?;
    println!("Exit code: {}", r.returncode());
    Ok(())
}

fn main() -> ExitCode {
    report(run())
}
