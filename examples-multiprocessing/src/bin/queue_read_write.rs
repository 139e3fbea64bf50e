//! One process writes into a queue, another reads until it is terminated.
//!
//! Listing N8, notebook, 以Queue为例.

use std::process;

use multiprocessing::{Process, Queue};
use tutorial::{Result, sleep};

fn write(q: &Queue<String>) -> Result<()> {
    println!("Process to write: {}", process::id());
    for value in ["A", "B", "C"] {
        println!("Put {value} to queue...");
        q.put(value.into())?;
        sleep(rand::random());
    }
    Ok(())
}

fn read(q: &Queue<String>) -> Result<()> {
    println!("Process to read: {}", process::id());
    loop {
        let value = q.get()?;
        println!("Get {value} from queue.");
    }
}

fn main() -> Result<()> {
    let q = &Queue::new(0)?;
    let mut pw = Process::new(|| write(q));
    let mut pr = Process::new(|| read(q));
    pw.start()?;
    pr.start()?;
    pw.join()?;
    // Python's queue may stay locked for ever if a process is ended in a `get`. This
    // one does not.
    pr.terminate()?;
    Ok(())
}
