//! Ten processes put into a queue that has room for three, ten get from it.
//!
//! Listing V27, 《Python标准库（中）》 2、Pipe和Queue.

use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use multiprocessing::{Lock, Process, Queue};
use tutorial::Result;

fn input_q(queue: &Queue<String>) -> Result<()> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let info = format!("{}(put):{time}", process::id());
    queue.put(info)?;
    Ok(())
}

fn output_q(queue: &Queue<String>, lock: &Lock) -> Result<()> {
    let info = queue.get()?;
    lock.acquire();
    println!("{}(get):{info}", process::id());
    lock.release()?;
    Ok(())
}

fn main() -> Result<()> {
    let lock = &Lock::new()?;
    let queue = &Queue::new(3)?;
    let mut record1 = Vec::new();
    let mut record2 = Vec::new();

    for _ in 0..10 {
        let mut process = Process::new(|| input_q(queue));
        process.start()?;
        record1.push(process);
    }

    for _ in 0..10 {
        let mut process = Process::new(|| output_q(queue, lock));
        process.start()?;
        record2.push(process);
    }

    for p in record1 {
        p.join()?;
    }

    // This process puts no more items. Its children still could: a worker that finds
    // no item would wait for ever, unless every child closed the queue as well.
    queue.close();

    for p in record2 {
        p.join()?;
    }
    Ok(())
}
