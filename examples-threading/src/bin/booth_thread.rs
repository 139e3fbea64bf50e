//! Ten booths sell one hundred tickets: each booth a value with a `run` method.
//!
//! Listing V18, 《Python标准库（中）》OOP创建线程. Python inherits from `Thread`. Rust has no
//! classes to inherit from, so a `BoothThread` is what the thread runs. The
//! dictionary of counter and lock becomes a `Monitor` whose lock owns the counter.

use std::process;
use std::sync::Mutex;
use std::thread;

use tutorial::sleep;

fn do_chore() {
    sleep(0.5);
}

struct Monitor {
    tick: Mutex<i32>,
}

struct BoothThread<'a> {
    tid: i32,
    monitor: &'a Monitor,
}

impl BoothThread<'_> {
    fn run(&self) {
        loop {
            let mut tick = self.monitor.tick.lock().unwrap();
            if *tick != 0 {
                *tick -= 1;
                println!("{} :now left: {tick}", self.tid);
                do_chore();
            } else {
                println!("Thread_id {}  No more tickets", self.tid);
                process::exit(0);
            }
            drop(tick);
            do_chore();
        }
    }
}

fn main() {
    let monitor = &Monitor {
        tick: Mutex::new(100),
    };

    thread::scope(|s| {
        for k in 0..10 {
            let new_thread = BoothThread { tid: k, monitor };
            s.spawn(move || new_thread.run());
        }
    });
}
