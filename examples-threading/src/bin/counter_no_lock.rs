//! Ten threads add one to a global without a lock.
//!
//! Listing T4, 《Python(十) 进程、线程、协程篇》1.1.3. Python trusts its interpreter
//! lock not to let go in the middle of `+=`. Rust has no such lock: what threads
//! change without one is an atomic, which adds in one step, so no number is lost.
//! The order of the lines is not guarded: one may come after the next one's.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::thread;

use tutorial::sleep;

static GL_NUM: AtomicI32 = AtomicI32::new(0);

fn show() {
    sleep(2.0);
    // A load, an addition and a store, each atomic, would lose what others add
    // between.
    let gl_num = GL_NUM.fetch_add(1, Relaxed) + 1;
    println!("{gl_num}");
}

fn main() {
    thread::scope(|s| {
        for _ in 0..10 {
            s.spawn(show);
        }

        println!("main thread stop");
    });
}
