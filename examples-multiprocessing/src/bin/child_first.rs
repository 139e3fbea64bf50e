//! With a pause in the parent, the child's line comes first.
//!
//! Listing D2, 达内 course notes, 创建 Process 对象.

use multiprocessing::Process;
use tutorial::{Result, sleep};

fn t1() {
    println!("child process");
}

fn main() -> Result<()> {
    let mut p = Process::new(t1);
    p.start()?;

    sleep(1.0);

    println!("main process");
    Ok(())
}
