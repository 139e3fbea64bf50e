//! One thread puts numbers into a queue, two others take them out.
//!
//! Listing D48, 达内 course notes, thread 使用 Queue 的 Demo (prose). A channel of
//! crossbeam is a queue that ends: the consumers stop once the producer has dropped
//! its end. std's `mpsc` has a single receiver, which two consumers cannot share.

use std::thread;

use crossbeam::channel::{Receiver, Sender, unbounded};
use tutorial::sleep;

fn produce(q: Sender<i32>) {
    for i in 0..10 {
        q.send(i).unwrap();
        sleep(0.1);
    }
    // `q` is dropped here. What is in the queue can still be taken out.
}

fn consume(name: &str, q: Receiver<i32>) {
    for i in q {
        println!("{name} got {i}");
        sleep(0.3);
    }
}

fn main() {
    let (put, get) = unbounded();

    thread::scope(|s| {
        let q = get.clone();
        s.spawn(|| produce(put));
        s.spawn(|| consume("Thread-1", q));
        s.spawn(|| consume("Thread-2", get));
    });
}
