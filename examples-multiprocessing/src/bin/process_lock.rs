//! Ten processes print under one lock, so that each line stays whole.
//!
//! Listing T22, 《Python(十) 进程、线程、协程篇》 进程同步. The quotes that the listing has lost are
//! put back.

use multiprocessing::{Lock, Process};
use tutorial::Result;

fn f(l: &Lock, i: i32) {
    let _held = l.lock(); // Released at the end, even after a panic.
    println!("hello world {i}");
}

fn main() -> Result<()> {
    let lock = &Lock::new()?;

    for num in 0..10 {
        Process::new(move || f(lock, num)).start()?;
    }
    Ok(())
}
