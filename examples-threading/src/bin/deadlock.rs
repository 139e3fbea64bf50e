//! Two threads take two locks in opposite order: each waits for what the other holds.
//!
//! Listing D40, 达内 course notes, 死锁是怎么回事 (prose). Neither Python nor std notices.
//! `parking_lot` can keep a record of which thread holds which lock and waits for
//! which, and finds the cycle in it.

use std::sync::Barrier;
use std::thread;

use parking_lot::{Mutex, deadlock};
use tutorial::sleep;

static R1: Mutex<&str> = Mutex::new("r1");
static R2: Mutex<&str> = Mutex::new("r2");
static BOTH_HOLD_ONE: Barrier = Barrier::new(2);

fn work(name: &str, first: &Mutex<&str>, second: &Mutex<&str>) {
    let held = first.lock();
    println!("{name} holds {held}");
    BOTH_HOLD_ONE.wait();
    println!("{name} waits for the other");
    let other = second.lock();
    unreachable!("{name} holds {held} and {other}");
}

fn main() {
    // These two never end, so no scope waits for them, and what they use is static.
    thread::spawn(|| work("A", &R1, &R2));
    thread::spawn(|| work("B", &R2, &R1));

    let cycle = loop {
        sleep(1.0);
        if let Some(cycle) = deadlock::check_deadlock().pop() {
            break cycle;
        }
    };
    println!("Deadlock: {} threads wait for each other", cycle.len());
}
