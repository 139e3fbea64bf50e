//! A named thread counts to five while the main thread waits for it.
//!
//! Listing N9, notebook, 多线程. Rust calls the main thread `main`, so its Python name
//! is written out.

use std::thread;

use tutorial::sleep;

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

fn main() {
    println!("thread MainThread is running...");
    let t = thread::Builder::new().name("LoopThread".into());
    let t = t.spawn(r#loop).unwrap();
    t.join().unwrap();
    println!("thread MainThread ended.");
}
