//! Ten threads, and a main thread that is done before any of them.
//!
//! Listing T1, 《Python(十) 进程、线程、协程篇》1.1.1 直接调用. Its recorded result shows that it
//! means to print the word `threading`, not the module of that name.

use std::thread;

use tutorial::sleep;

fn show(arg: i32) {
    sleep(1.0);
    println!("threading {arg}");
}

fn main() {
    thread::scope(|s| {
        for i in 0..10 {
            s.spawn(move || show(i));
        }

        // Still inside the scope, whose end waits for the ten as Python's exit does.
        println!("main thread stop");
    });
}
