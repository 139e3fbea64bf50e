//! A parent that is done first waits for its child at its end.
//!
//! Listing D7, 达内 course notes, day01 僵尸进程, 孤儿进程.

use multiprocessing::Process;
use tutorial::ctime;
use tutorial::{Result, sleep};

fn t1(interval: u32) {
    for _ in 0..interval {
        sleep(1.0);
        println!("child {}", ctime());
    }
}

fn main() -> Result<()> {
    let mut p = Process::new(|| t1(5));
    p.start()?;

    sleep(2.0);

    println!("main process");
    Ok(())
}
