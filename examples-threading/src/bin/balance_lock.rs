//! Two threads deposit and withdraw the same sums under a lock: the balance is 0.
//!
//! Listing N11, notebook, `给change_it()上一把锁`. The listing's `try` has lost its indent
//! and belongs inside the loop: outside, the second turn would wait for the first
//! turn's lock for ever. The guard does what `finally` does there: it releases the
//! lock however the turn ends.

use std::sync::Mutex;
use std::thread;

fn change_it(balance: &mut i32, n: i32) {
    *balance += n;
    *balance -= n;
}

fn run_thread(lock: &Mutex<i32>, n: i32) {
    for _ in 0..100_000 {
        let mut balance = lock.lock().unwrap();
        change_it(&mut balance, n);
    }
}

fn main() {
    let lock = &Mutex::new(0);

    thread::scope(|s| {
        s.spawn(move || run_thread(lock, 5));
        s.spawn(move || run_thread(lock, 8));
    });

    println!("{}", lock.lock().unwrap());
}
