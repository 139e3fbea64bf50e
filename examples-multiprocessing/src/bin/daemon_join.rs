//! A daemon that is joined is waited for all the same.
//!
//! Listing D15, 达内 course notes, Python daemon 进程.

use multiprocessing::Process;
use tutorial::{Result, ctime, sleep};

fn t1(interval: u32) {
    for _ in 0..interval {
        sleep(1.0);
        println!("child {}", ctime());
    }
}

fn main() -> Result<()> {
    let mut p = Process::new(|| t1(5));
    p.set_daemon(true)?;
    p.start()?;
    p.join()?;

    println!("main process");
    Ok(())
}
