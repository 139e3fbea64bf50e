//! A hundred workers build a room each, and the first ten drink beer: each worker a
//! value with a `run` method.
//!
//! Listing V20, 《Python标准库（中）》condition variable的例子, object-oriented.

use std::sync::{Condvar, Mutex};
use std::thread;

struct Site {
    num: Mutex<i32>,
    cond: Condvar,
}

struct Worker<'a> {
    tid: i32,
    site: &'a Site,
}

impl Worker<'_> {
    fn run(&self) {
        let Site { num, cond } = self.site;
        let mut num = num.lock().unwrap();
        *num += 1;
        println!("worker {} has built room {num}", self.tid);
        if *num <= 10 {
            // The condition is looked at after every wake-up, because a thread may
            // wake without a call.
            let _num = cond.wait_while(num, |num| *num <= 10).unwrap();
            println!("worker {} drinks beer", self.tid);
        } else if *num == 11 {
            cond.notify_all();
        }
    }
}

fn main() {
    let site = &Site {
        num: Mutex::new(0),
        cond: Condvar::new(),
    };

    thread::scope(|s| {
        for tid in 0..100 {
            let worker = Worker { tid, site };
            s.spawn(move || worker.run());
        }
    });
}
