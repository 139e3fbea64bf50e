//! A thread that prints the time every second.
//!
//! Listing D46, 达内 course notes, 用 thread 来实现定时器.

use std::thread;

use tutorial::{ctime, sleep};

fn get_time(interval: f64) {
    loop {
        sleep(interval);
        println!("child thread {}", ctime());
    }
}

fn main() {
    thread::scope(|s| {
        s.spawn(|| get_time(1.0));
    });
}
