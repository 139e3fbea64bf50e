//! The child tells the time every second, its parent every two, without end.
//!
//! Listing D3, 达内 course notes, day01 创建 Process 对象.

use examples_multiprocessing::{Process, ctime};
use examples_threading::{Failure, pause};

fn t1(interval: f64) {
    loop {
        pause(interval);
        println!("child {}", ctime());
    }
}

fn main() -> Result<(), Failure> {
    let mut p = Process::new(|| t1(1.0));
    p.start()?;

    pause(1.0);

    println!("main process");
    loop {
        pause(2.0);
        println!("main {}", ctime());
    }
}
