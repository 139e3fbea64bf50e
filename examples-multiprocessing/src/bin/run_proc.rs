//! A child process runs a function, and its parent waits for it.
//!
//! Listing N2, notebook, Process类来代表一个进程对象.

use std::process;

use multiprocessing::Process;
use tutorial::Result;

fn run_proc(name: &str) {
    println!("Run child process {name} ({})...", process::id());
}

fn main() -> Result<()> {
    println!("Parent process {}.", process::id());
    let mut p = Process::new(|| run_proc("test"));
    println!("Child process will start");
    p.start()?;
    p.join()?;
    println!("Child process end.");
    Ok(())
}
