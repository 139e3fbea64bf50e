//! One thread puts numbers into a queue, two others take them out.
//!
//! Listing D48, 达内 course notes, day02 thread 使用 Queue 的 Demo (prose). The consumers end
//! by the queue's shutdown, which Python has since 3.13.

use std::thread;

use queue::Queue;
use tutorial::sleep;

fn produce(q: &Queue<i32>) {
    for i in 0..10 {
        q.put(i).unwrap();
        sleep(0.1);
    }
    q.shutdown(); // What is in the queue can still be taken out.
}

fn consume(name: &str, q: &Queue<i32>) {
    while let Ok(i) = q.get() {
        println!("{name} got {i}");
        sleep(0.3);
    }
}

fn main() {
    let q = &Queue::new(0);

    thread::scope(|s| {
        s.spawn(|| produce(q));
        s.spawn(|| consume("Thread-1", q));
        s.spawn(|| consume("Thread-2", q));
    });
}
