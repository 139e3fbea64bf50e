//! A parent that is done first waits for its child at its end.
//!
//! Listing D7, 达内 course notes, day01 僵尸进程, 孤儿进程.

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
    p.start()?;

    pause(2.0);

    println!("main process");
    Ok(())
}
