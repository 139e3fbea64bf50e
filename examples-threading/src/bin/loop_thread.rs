//! A named thread counts to five while the main thread waits for it.
//!
//! Listing N9, notebook, 多线程. Rust names the main thread `main`, so Python's name for
//! it is written out.

use std::thread;

use tutorial::{Result, sleep};

fn r#loop() {
    let current_thread = thread::current();
    let name = current_thread.name().unwrap();
    println!("thread {name} is running....");
    let mut n = 0;
    while n < 5 {
        n += 1;
        println!("thread {name} >>> {n}");
        sleep(1.0);
    }
    println!("thread {name} ended.");
}

fn main() -> Result<()> {
    println!("thread MainThread is running...");
    let t = thread::Builder::new()
        .name("LoopThread".into())
        .spawn(r#loop)?;
    t.join().unwrap();
    println!("thread MainThread ended.");
    Ok(())
}
