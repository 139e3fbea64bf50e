//! A managed queue can be the argument of a pool's task; a plain queue cannot.
//!
//! Listing D58, 达内 course notes, 队列的总结 (prose). As in Python, the plain queue is for
//! processes that one starts oneself, and a pool's task wants the manager's. Python refuses
//! the other with a `RuntimeError`; here `get` returns the reason.

use multiprocessing::managers::{QueueProxy, manager};
use multiprocessing::{Pool, Queue, current_process};
use tutorial::{Result, sleep};

fn write(q: QueueProxy, i: i32) {
    sleep(0.5);
    let line = format!("{i} from {}", current_process().name());
    // A panic in a worker is an error in main.
    q.put(line).unwrap();
}

fn write_plain(q: Queue<String>, i: i32) {
    q.put(format!("{i} never comes")).unwrap();
}

fn main() -> Result<()> {
    let manager = manager()?;
    let pool = Pool::new(3)?;
    let q = manager.queue(0)?; // The workers are there already and do not inherit it.
    let results: Vec<_> = (0..6)
        .map(|i| pool.apply_async(write, (q.clone(), i)))
        .collect();
    for result in results {
        result.get()?;
    }
    while !q.empty()? {
        println!("{}", q.get::<String>()?);
    }

    let plain = Queue::new(0)?;
    if let Err(error) = pool.apply_async(write_plain, (plain, 6)).get() {
        println!("{error}");
    }
    pool.close();
    pool.join()?;
    Ok(())
}
