//! Two daemon threads are cut short by the end of the program: no squares.
//!
//! Listing N21, notebook, demon attribute-daemon. A thread of `thread::spawn` is
//! what Python calls a daemon: the end of `main` ends it. A scope is for threads
//! that have to be waited for.

use std::thread;

use tutorial::sleep;

struct MyThread {
    mynum: i32,
}

impl MyThread {
    fn run(&self) {
        sleep(1.0);
        for i in self.mynum..self.mynum + 5 {
            println!("{};", i * i);
        }
    }
}

fn main() {
    println!("start....");
    let ma = MyThread { mynum: 1 };
    let mb = MyThread { mynum: 16 };

    thread::spawn(move || ma.run());
    thread::spawn(move || mb.run());
    println!("end....");
}
