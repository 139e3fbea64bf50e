//! Five threads add thirty each to one number, under a lock that they keep until they
//! have printed it.
//!
//! Listing N23, notebook, `demon_rlock.py`. Here the lock owns the number, in a `Cell`
//! because a lock that can be taken twice lends its value twice.

use std::cell::Cell;
use std::thread;

use threading::RLock;
use tutorial::sleep;

struct MyThread<'a> {
    x: &'a RLock<Cell<i32>>,
}

impl MyThread<'_> {
    fn run(&self) {
        let x = self.x.lock();
        for _ in 0..3 {
            x.set(x.get() + 10);
        }
        sleep(1.0);
        println!("{}", x.get());
    }
}

fn main() {
    let x = &RLock::new(Cell::new(0));

    let mut thrs = Vec::new();
    for _ in 0..5 {
        thrs.push(MyThread { x });
    }
    thread::scope(|s| {
        for item in thrs {
            s.spawn(move || item.run());
        }
    });
}
