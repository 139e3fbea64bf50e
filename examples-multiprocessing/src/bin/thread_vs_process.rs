//! Five threads print one process id, five processes five.
//!
//! Listing V25, 《Python标准库（中）》 threading和multiprocessing. A Rust program forks only
//! while it has one thread: when the first process starts, the scope has waited for
//! the five threads. The two locks are of different types, so `worker` is told how
//! to take one.

use std::sync::Mutex;
use std::{process, thread};

use multiprocessing::{Lock, Process};
use tutorial::Result;

fn worker<Guard>(sign: &str, acquire: impl FnOnce() -> Guard) {
    let _released_at_the_end = acquire();
    println!("{sign} {}", process::id());
}

fn main() -> Result<()> {
    println!("Main: {}", process::id());

    let lock = &Mutex::new(());
    thread::scope(|s| {
        for _ in 0..5 {
            s.spawn(move || worker("thread", || lock.lock().unwrap()));
        }
    });

    let lock = &Lock::new()?;
    let mut record = Vec::new();
    for _ in 0..5 {
        let mut process = Process::new(|| worker("process", || lock.lock()));
        process.start()?;
        record.push(process);
    }

    for process in record {
        process.join()?;
    }
    Ok(())
}
