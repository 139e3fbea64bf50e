//! A clock as a type whose `run` prints the time every second.
//!
//! Listing D47, 达内 course notes, 用面向对象的方式实现定时器 (prose). Python inherits from
//! `Thread`; here the clock is what a thread runs.

use std::thread;

use tutorial::{ctime, sleep};

struct ClockThread {
    interval: f64,
}

impl ClockThread {
    fn run(&self) {
        loop {
            sleep(self.interval);
            println!("child thread {}", ctime());
        }
    }
}

fn main() {
    let t = ClockThread { interval: 1.0 };
    thread::scope(|s| {
        s.spawn(|| t.run());
    });
}
