//! A daemon process ends with its parent.
//!
//! Listing D10, 达内 course notes, 编程实践, `myTimer`.

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
    println!("main");
    println!("main process");
    Ok(())
}
