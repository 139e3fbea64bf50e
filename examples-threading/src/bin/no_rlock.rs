//! Five threads add thirty each to one number without a lock. By the time the first one
//! prints it, all have added.
//!
//! Listing N24, notebook, `demon_no_rlock.py`. Rust refuses an unsynchronised write,
//! so the number is atomic: no addition is lost, and yet every thread prints the
//! final sum.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::thread;

use tutorial::sleep;

struct MyThread<'a> {
    x: &'a AtomicI32,
}

impl MyThread<'_> {
    fn run(&self) {
        for _ in 0..3 {
            self.x.fetch_add(10, Relaxed);
        }
        sleep(1.0);
        println!("{}", self.x.load(Relaxed));
        println!("{}", "-".repeat(3));
    }
}

fn main() {
    let x = &AtomicI32::new(0);

    let mut thrs = Vec::new();
    for _ in 0..5 {
        thrs.push(MyThread { x });
    }
    thread::scope(|s| {
        for item in thrs {
            s.spawn(move || item.run());
        }
    });
}
