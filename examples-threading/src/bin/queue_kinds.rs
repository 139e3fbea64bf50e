//! Three queues: first in first out, last in first out, smallest first.
//!
//! Listing T11, 《Python(十) 进程、线程、协程篇》1.1.8 queue队列. The listing is a list of calls,
//! all of them commented out. Here they run and print what they return.

use queue::{LifoQueue, PriorityQueue, Queue};

fn main() {
    let q = &Queue::new(2);
    let show = || {
        println!(
            "empty {}, full {}, qsize {}",
            q.empty(),
            q.full(),
            q.qsize()
        );
    };
    q.put(1).unwrap();
    show();
    q.put(2).unwrap();
    show();
    // put would wait for room. put_nowait does not, and its error has the item.
    if let Err(error) = q.put_nowait(3) {
        println!("put_nowait: {error}, {} is left over", error.into_item());
    }
    println!("{}", q.get().unwrap());
    println!("{}", q.get().unwrap());
    show();
    // get would wait for ever, because no other thread puts anything.
    if let Err(error) = q.get_nowait() {
        println!("get_nowait: {error}");
    }

    let q1 = LifoQueue::new(0); // 0 for any number of items, Python's default.
    q1.put(1).unwrap();
    q1.put(2).unwrap();
    println!("{}", q1.get().unwrap());
    println!("{}", q1.get().unwrap());

    let q2 = PriorityQueue::new(0); // std's `BinaryHeap` returns the greatest first.
    q2.put((3, "cx")).unwrap();
    q2.put((1, "cc")).unwrap();
    println!("{:?}", q2.get().unwrap());
    println!("{:?}", q2.get().unwrap());
}
