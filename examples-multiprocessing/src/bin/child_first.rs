//! With a pause in the parent, the child's line comes first.
//!
//! Listing D2, 达内 course notes, day01 创建 Process 对象.

use examples_multiprocessing::Process;
use examples_threading::{Failure, pause};

fn t1() {
    println!("child process");
}

fn main() -> Result<(), Failure> {
    let mut p = Process::new(t1);
    p.start()?;

    pause(1.0);

    println!("main process");
    Ok(())
}
