//! The reminder to rest your eyes as a type of its own.
//!
//! Listing D13, 达内 course notes, day02 用面向对象的方式实现 myTimer (exercise). Python
//! inherits from `Process`; here a `MyTimer` is what the process runs.

use std::process;

use multiprocessing::{Process, current_process};
use tutorial::ctime;
use tutorial::{Result, sleep};

struct MyTimer {
    interval: f64,
}

impl MyTimer {
    fn run(&self) {
        loop {
            println!("Now this is {}", ctime());
            let name = current_process().name().to_string();
            println!("No more coding, rest your eyes ({}, {name})", process::id());
            sleep(self.interval);
        }
    }
}

fn main() -> Result<()> {
    println!("you are tired, you need some time to relax");
    let timer = MyTimer { interval: 27000.0 };
    let mut p = Process::builder().name("MyTimer").target(|| timer.run());
    p.start()?;
    p.join()?;
    Ok(())
}
