//! Two threads share a global variable.
//!
//! Listing D49, 达内 course notes, day04. Rust has no `global`: a `static` that threads
//! change must be one they cannot tear, so it is an atomic.

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
    sleep(1.0); // As in Python nothing but this pause lets f1 be first.
    println!("in f1 g num is {}", G_NUM.load(Relaxed)); // f1 is the listing's own
}

fn main() {
    thread::scope(|s| {
        s.spawn(f1);
        s.spawn(f2);
    });
}
