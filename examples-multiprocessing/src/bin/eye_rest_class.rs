//! The reminder to rest your eyes as a type of its own, every hour, without end.
//!
//! Listing D13, 达内 course notes, 用面向对象的方式实现第一 (exercise): the hour is that of
//! 多进程定期器. Python inherits from `Process`; here a `MyTimer` is what the process
//! runs.

use multiprocessing::{Process, current_process};
use tutorial::{Result, ctime, sleep};

struct MyTimer {
    interval: f64,
}

impl MyTimer {
    fn run(&self) {
        loop {
            println!("Now this is {}", ctime());
            let me = current_process();
            println!(
                "No more coding, rest your eyes ({}, {})",
                me.pid(),
                me.name()
            );
            sleep(self.interval);
        }
    }
}

fn main() -> Result<()> {
    println!("you are tired, you need some time to relax");
    let timer = &MyTimer { interval: 3600.0 };
    let mut p = Process::builder().name("MyTimer").target(|| timer.run());
    p.start()?;
    p.join()?;
    Ok(())
}
