//! A daemon that is joined is waited for all the same.
//!
//! Listing D15, 达内 course notes, day01 Python daemon 进程.

use examples_multiprocessing::{Process, ctime};
use examples_threading::{Failure, pause};

fn t1(interval: u32) {
    for _ in 0..interval {
        pause(1.0);
        println!("child {}", ctime());
    }
}

fn main() -> Result<(), Failure> {
    let mut p = Process::new(|| t1(5));
    p.set_daemon(true)?;
    p.start()?;
    p.join()?;

    println!("main process");
    Ok(())
}
