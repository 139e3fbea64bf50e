//! A producer and a consumer, each at a pace of its own.
//!
//! Listing T13, 《Python(十) 进程、线程、协程篇》多线程实现生产者消费者模型. The consumer looks twenty times
//! and leaves: what it did not get to stays in the queue.

use std::thread;

use queue::Queue;
use tutorial::sleep;

fn producer(name: &str, q: &Queue<i32>) {
    let mut count = 0;
    while count < 20 {
        sleep(rand::random_range(0..3).into());
        q.put(count).unwrap();
        println!("producer {name} has produced {count} 翔...");
        count += 1;
    }
}

fn consumer(name: &str, q: &Queue<i32>) {
    let mut count = 0;
    while count < 20 {
        sleep(rand::random_range(0..4).into());
        // Python asks `empty()` and then gets. With a second consumer the queue could
        // be emptied in between, and that get would wait. get_nowait does both in one.
        if let Ok(data) = q.get_nowait() {
            println!("{data}");
            println!("\x1b[32;1m Consumer {name} has eat {data} 翔....\x1b[0m");
        } else {
            println!("-----no baozi anymore-----");
        }
        count += 1;
    }
}

fn main() {
    let q = &Queue::new(0);

    thread::scope(|s| {
        s.spawn(|| producer("陈鑫", q));
        s.spawn(|| consumer("白弘毅", q));
    });
}
