//! Two threads, each a value with a `run` method.
//!
//! Listing T2, 《Python(十) 进程、线程、协程篇》自定义线程类. Python inherits from `Thread` and starts
//! the object itself. Here a `MyThread` is what the thread runs.

use std::thread;

use tutorial::sleep;

struct MyThread {
    num: i32,
}

impl MyThread {
    fn run(&self) {
        println!("running on number:{}", self.num);
        sleep(3.0);
    }
}

fn main() {
    let t1 = MyThread { num: 1 };
    let t2 = MyThread { num: 2 };

    thread::scope(|s| {
        s.spawn(|| t1.run());
        s.spawn(|| t2.run());
    });
}
