//! A hundred workers build a room each. The first ten to finish wait for the eleventh,
//! which wakes them all, and drink beer.
//!
//! Listing V19, 《Python标准库（中）》condition variable的例子, procedural. Python's
//! `Condition` comes with its lock; here the `Mutex` comes with the number, and is
//! given to `wait`.

use std::sync::{Condvar, Mutex};
use std::thread;

fn worker(tid: i32, num: &Mutex<i32>, cond: &Condvar) {
    let mut num = num.lock().unwrap();
    *num += 1;
    println!("worker {tid} has built room {num}");
    if *num <= 10 {
        // The condition is looked at after every wake-up, because a thread may wake
        // without a call. The call cannot be missed: this worker holds the lock from
        // its look at the number until it sleeps, and the eleventh needs the lock.
        let _num = cond.wait_while(num, |num| *num <= 10).unwrap();
        println!("worker {tid} drinks beer");
    } else if *num == 11 {
        cond.notify_all();
    }
}

fn main() {
    let num = &Mutex::new(0);
    let cond = &Condvar::new();

    thread::scope(|s| {
        for tid in 0..100 {
            s.spawn(move || worker(tid, num, cond));
        }
    });
}
