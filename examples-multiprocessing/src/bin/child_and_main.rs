//! A child process and its parent print a line each.
//!
//! Listing D1, 达内 course notes, 创建 Process 对象.

use multiprocessing::Process;
use tutorial::Result;

fn t1() {
    println!("child process");
}

fn main() -> Result<()> {
    let mut p = Process::new(t1);
    p.start()?;
    println!("main process");
    Ok(())
}
