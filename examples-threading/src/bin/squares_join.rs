//! The second thread is given the first, and prints its squares once that has ended.
//!
//! Listing N20, notebook, 通过集成threading.Thread类来创建线程. `join` consumes the handle:
//! Python may join a thread several times and from anywhere, in Rust one owner does
//! it once.

use std::thread::{self, ScopedJoinHandle};

use tutorial::sleep;

fn thrfun(x: i32, y: i32, thr: Option<ScopedJoinHandle<()>>) {
    if let Some(thr) = thr {
        thr.join().unwrap();
    } else {
        sleep(2.0);
    }
    for i in x..y {
        println!("{};", i * i);
    }
}

fn main() {
    thread::scope(|s| {
        let ta = s.spawn(|| thrfun(1, 6, None));
        s.spawn(|| thrfun(16, 19, Some(ta)));
    });
}
