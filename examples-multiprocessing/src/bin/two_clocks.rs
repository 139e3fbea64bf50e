//! The child prints the time every second, its parent every two, without end.
//!
//! Listing D3, 达内 course notes, 创建 Process 对象.

use multiprocessing::Process;
use tutorial::{Result, ctime, sleep};

fn t1(interval: f64) {
    loop {
        sleep(interval);
        println!("child {}", ctime());
    }
}

fn main() -> Result<()> {
    let mut p = Process::new(|| t1(1.0));
    p.start()?;

    sleep(1.0);

    println!("main process");
    loop {
        sleep(2.0);
        println!("main {}", ctime());
    }
}
