//! Two daemon threads are cut short by the end of the program: no squares.
//!
//! Listing N21, notebook, 21days. Every thread of `thread::spawn` is Python's daemon:
//! the end of `main` ends it. A scope is for those that are to be waited for.

use std::thread;

use tutorial::sleep;

struct MyThread {
    mynum: i32,
}

impl MyThread {
    fn new(mynum: i32) -> Self {
        Self { mynum }
    }

    fn run(&self) {
        sleep(1.0);
        for i in self.mynum..self.mynum + 5 {
            println!("{};", i * i);
        }
    }
}

fn main() {
    println!("start....");
    let ma = MyThread::new(1);
    let mb = MyThread::new(16);

    thread::spawn(move || ma.run());
    thread::spawn(move || mb.run());
    println!("end....");
}
