//! Two threads share a global variable.
//!
//! Listing D49, 达内 course notes, in f1 g num is. Rust has no `global`: a `static`
//! that threads change has to be safe to change from several, so it is an atomic.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::thread;

use tutorial::sleep;

static G_NUM: AtomicI32 = AtomicI32::new(100);

fn f1() {
    for _ in 0..5 {
        G_NUM.fetch_add(1, Relaxed);
    }
    println!("in f1 g num is {}", G_NUM.load(Relaxed));
}

fn f2() {
    sleep(1.0); // As in Python, only this pause lets f1 be first.
    // The listing says f1 here, too.
    println!("in f1 g num is {}", G_NUM.load(Relaxed));
}

fn main() {
    thread::scope(|s| {
        s.spawn(f1);
        s.spawn(f2);
    });
}
