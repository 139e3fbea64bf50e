//! A process greets in red after a second.
//!
//! Listing T16, 《Python(十) 进程、线程、协程篇》1.2.1. The quotes that the listing has
//! lost are put back.

use examples_multiprocessing::Process;
use examples_threading::{Failure, pause};

fn f(name: &str) {
    pause(1.0);
    println!("\x1b[31;1m hello {name}\x1b[0m");
}

fn main() -> Result<(), Failure> {
    let mut p = Process::new(|| f("陈鑫"));
    p.start()?;
    p.join()?;
    Ok(())
}
