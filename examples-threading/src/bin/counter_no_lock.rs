//! Ten threads add one to a global without a lock.
//!
//! Listing T4, 《Python(十) 进程、线程、协程篇》1.1.3 线程锁(Lock、RLock). The document says
//! that Python 3 rules out lost updates. It does not: up to 3.9 `+=` loses some; from
//! 3.10 on it was never seen to, which is not promised. In Rust threads may change a
//! number without a lock only if it is an atomic, which adds in one step and loses
//! nothing. The lines may still come out of order.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::thread;

use tutorial::sleep;

static GL_NUM: AtomicI32 = AtomicI32::new(0);

fn show() {
    sleep(2.0);
    // A load, an addition and a store would lose what others add in between.
    let gl_num = GL_NUM.fetch_add(1, Relaxed) + 1;
    println!("{gl_num}");
}

fn main() {
    thread::scope(|s| {
        for _ in 0..10 {
            s.spawn(show);
        }

        println!("main thread stop");
    });
}
