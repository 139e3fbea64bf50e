//! A process reminds you to rest your eyes, every seven and a half hours, without end.
//!
//! Listing D12, 达内 course notes, day01 编程实践 and 多进程定期器 (exercise), which asks
//! for the reminder's process id and name as well.

use std::process;

use multiprocessing::{Process, current_process};
use tutorial::ctime;
use tutorial::{Result, sleep};

fn call_time() {
    loop {
        println!("Now this is {}", ctime());
        let name = current_process().name().to_string();
        println!("No more coding, rest your eyes ({}, {name})", process::id());
        sleep(27000.0);
    }
}

fn main() -> Result<()> {
    println!("you are tired, you need some time to relax");
    let mut p = Process::new(call_time);
    p.set_daemon(false)?;
    p.start()?;
    p.join()?;
    Ok(())
}
