//! Two threads print five squares each: each thread a value with a `run` method.
//!
//! Listing N19, notebook, 通过集成threading.Thread类来创建线程. Python inherits `start` from
//! `Thread`; here `spawn` starts it.

use std::thread;

struct MyThread {
    mynum: i32,
}

impl MyThread {
    fn run(&self) {
        for i in self.mynum..self.mynum + 5 {
            println!("{}:", i * i);
        }
    }
}

fn main() {
    let ma = MyThread { mynum: 1 };
    let mb = MyThread { mynum: 16 };

    thread::scope(|s| {
        s.spawn(|| ma.run());
        s.spawn(|| mb.run());
    });
}
