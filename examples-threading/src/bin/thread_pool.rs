//! Five threads do twenty tasks, and their results come back in order.
//!
//! Listing T14, 《Python(十) 进程、线程、协程篇》开发一个线程池. The document announces it and has no
//! listing. The pool itself is in `src/thread_pool.rs`.

use std::thread;

use threading::ThreadPool;
use tutorial::{Result, sleep};

fn action(i: i32) -> i32 {
    let worker = thread::current();
    println!("{}: task {i}", worker.name().unwrap());
    sleep(1.0);
    i * i
}

fn main() -> Result<()> {
    let pool = ThreadPool::new(5)?;
    for square in pool.map(0..20, action) {
        println!("result {}", square?);
    }
    Ok(())
}
