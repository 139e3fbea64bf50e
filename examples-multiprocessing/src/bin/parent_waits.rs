//! A parent that has nothing more to do waits for its child before it ends.
//!
//! Listing D7, 达内 course notes, 注意父进程会等子进程.

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
    p.start()?;

    sleep(2.0);

    println!("main process");
    Ok(())
}
