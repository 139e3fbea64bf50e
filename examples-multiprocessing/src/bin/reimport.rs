//! A spawned child runs the program's beginning again.
//!
//! Listing D4, 达内 course notes, fork 创建. On Windows a child imports its parent's
//! file, so what stands outside the main guard is printed twice. Here a child starts
//! the program from the top, up to `freeze_support`, which is the guard. Only what
//! stands above it is outside, so the parent's two lines come first.

use multiprocessing::{Process, freeze_support};
use tutorial::{Result, ctime, sleep};

fn t1(interval: f64) {
    loop {
        sleep(interval);
        println!("{}", ctime());
        println!("child process");
    }
}

fn main() -> Result<()> {
    println!("who are you");
    println!("!!!!!!");

    freeze_support();
    let mut p = Process::spawned(t1, 3.0);
    p.start()?;
    sleep(1.0);
    println!("main process");
    Ok(())
}
