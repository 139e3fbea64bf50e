//! Ten threads count from 1 to 10 in order, under a lock that its holder may retake.
//!
//! Listing T5, 《Python(十) 进程、线程、协程篇》1.1.3 线程锁(Lock、RLock). The holder may hold the
//! lock more than once, so an `RLock` lends its value only to read: the number lives
//! in a `Cell`.

use std::cell::Cell;
use std::thread;

use threading::RLock;

static CX_NUM: RLock<Cell<i32>> = RLock::new(Cell::new(0));

fn func() {
    let cx_num = CX_NUM.lock();
    cx_num.set(cx_num.get() + 1);
    println!("{}", cx_num.get()); // Still locked: no other thread prints in between.
}

fn main() {
    thread::scope(|s| {
        for _ in 0..10 {
            s.spawn(func);
        }
    });

    // Printed after the scope has joined all ten, so that it comes last as in the
    // tutorial. In Python the order is only likely.
    println!("main threading stop");
}
