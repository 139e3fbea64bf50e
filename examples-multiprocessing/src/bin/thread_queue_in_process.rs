//! A queue for threads does not reach another process.
//!
//! Listing D62, 达内 course notes, 普通 Queue 实现不了 (prose). The child has a copy of the
//! parent's memory, and so a queue of its own; a queue of `multiprocessing` lies in
//! memory that they share.

use multiprocessing::{Process, Queue as SharedQueue};
use queue::Queue;
use tutorial::Result;

fn child(q: &Queue<i32>, shared: &SharedQueue<i32>) -> Result<()> {
    q.put(1)?;
    println!("child: queue.Queue has {}", q.qsize());
    shared.put(1)?;
    println!("child: multiprocessing.Queue has {}", shared.qsize());
    Ok(())
}

fn main() -> Result<()> {
    let q = &Queue::new(0);
    let shared = &SharedQueue::new(0)?;
    let mut p = Process::new(|| child(q, shared));
    p.start()?;
    p.join()?;
    println!("parent: queue.Queue has {}", q.qsize());
    println!("parent: multiprocessing.Queue has {}", shared.qsize());
    Ok(())
}
