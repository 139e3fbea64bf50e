//! Two threads deposit and withdraw the same sums, and the balance is not always 0.
//!
//! Listing N10, notebook, 把内容给改乱了. Python loses updates here up to 3.9; from 3.10 on
//! it was never seen to, which is not promised. Rust refuses to let two threads
//! write one plain number. Reading and writing it in two atomic steps is allowed,
//! and overwrites what the other thread wrote between the two.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::thread;

fn change_it(balance: &AtomicI32, n: i32) {
    // `fetch_add` would lose nothing.
    balance.store(balance.load(Relaxed) + n, Relaxed);
    balance.store(balance.load(Relaxed) - n, Relaxed);
}

fn run_thread(balance: &AtomicI32, n: i32) {
    for _ in 0..100_000 {
        change_it(balance, n);
    }
}

fn main() {
    let balance = &AtomicI32::new(0);

    thread::scope(|s| {
        s.spawn(move || run_thread(balance, 5));
        s.spawn(move || run_thread(balance, 8));
    });

    println!("{}", balance.load(Relaxed));
}
