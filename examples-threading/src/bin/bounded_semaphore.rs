//! Twenty threads, five at a time, and one release too many.
//!
//! Listing T6, 《Python(十) 进程、线程、协程篇》1.1.4. It prints more than the
//! listing: the arrival of each thread, to be counted against its end, and the
//! surplus release.

use std::thread;

use threading::BoundedSemaphore;
use tutorial::sleep;

fn run(n: i32, semaphore: &BoundedSemaphore) {
    semaphore.acquire();
    println!("come in: {n}");
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

    // All five are back. Python raises a ValueError here, a plain Semaphore would
    // count a sixth.
    if let Err(error) = semaphore.release() {
        println!("{error}");
    }
}
