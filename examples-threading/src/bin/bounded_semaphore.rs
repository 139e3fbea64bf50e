//! Twenty threads, five at a time, and one release too many.
//!
//! Listing T6, 《Python(十) 进程、线程、协程篇》1.1.4 信号量. The surplus release at the end is
//! more than the listing has: Python raises a `ValueError` there. A plain
//! `Semaphore` would count a sixth permit, because its number is where it starts and
//! not its ceiling.

use std::thread;

use threading::BoundedSemaphore;
use tutorial::sleep;

fn run(n: i32, semaphore: &BoundedSemaphore) {
    semaphore.acquire();
    sleep(1.0);
    println!("run the thread :{n}");
    semaphore.release().unwrap();
}

fn main() {
    let semaphore = &BoundedSemaphore::new(5);

    thread::scope(|s| {
        for i in 0..20 {
            s.spawn(move || run(i, semaphore));
        }
    });

    if let Err(error) = semaphore.release() {
        println!("{error}");
    }
}
