//! A process greets in red after a second.
//!
//! Listing T16, 《Python(十) 进程、线程、协程篇》 1.2.1 multiprocessing模块. The quotes that the
//! listing has lost are put back.

use multiprocessing::Process;
use tutorial::{Result, sleep};

fn f(name: &str) {
    sleep(1.0);
    println!("\x1b[31;1m hello {name}\x1b[0m");
}

fn main() -> Result<()> {
    let mut p = Process::new(|| f("陈鑫"));
    p.start()?;
    p.join()?;
    Ok(())
}
