//! The workers of a pool fill a queue that lives in a manager's process.
//!
//! Listing D58, 达内 course notes, 队列的总结 (prose). Python sends the queue's proxy with
//! each task; here the workers inherit it.

use std::sync::OnceLock;

use multiprocessing::managers::{QueueProxy, manager};
use multiprocessing::{Pool, current_process};
use tutorial::{Result, sleep};

static Q: OnceLock<QueueProxy> = OnceLock::new();

fn write(i: i32) {
    sleep(0.5);
    let line = format!("{i} from {}", current_process().name());
    // A panic in a worker is an error in main.
    Q.get().unwrap().put(line).unwrap();
}

fn main() -> Result<()> {
    let manager = manager()?;
    let q = manager.queue(0)?;
    let q = Q.get_or_init(|| q);
    let pool = Pool::new(3)?; // Only now: its workers have what was there before.
    let results: Vec<_> = (0..6).map(|i| pool.apply_async(write, (i,))).collect();
    for result in results {
        result.get()?;
    }
    pool.close();
    pool.join()?;
    while !q.empty()? {
        println!("{}", q.get::<String>()?);
    }
    Ok(())
}
