//! A producer puts ten bones in a queue and waits until all are eaten.
//!
//! Listing T12, 《Python(十) 进程、线程、协程篇》简单生产者消费者模型. Python's consumer eats while
//! `qsize() > 0`: if it looks before the producer has put a bone, it leaves and the
//! producer waits for ever. Here it waits for a bone until the queue is shut down.

use std::thread;

use queue::Queue;

fn producer(q: &Queue<String>) {
    for i in 0..10 {
        q.put(format!("骨头 {i}")).unwrap();
    }
    println!("开始等待所有的骨头被吃掉。。。。");
    q.join();
    println!("所有的骨头被吃完...");
    q.shutdown(); // Without this the consumer would wait for an eleventh.
}

fn consumer(n: &str, q: &Queue<String>) {
    while let Ok(bone) = q.get() {
        println!("{n} 正在吃 {bone}");
        q.task_done().unwrap();
    }
}

fn main() {
    let q = &Queue::new(0);

    thread::scope(|s| {
        s.spawn(|| producer(q));

        consumer("司家勇", q);
    });
}
