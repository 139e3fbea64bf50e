//! A queue whose consumer reports each task, and a producer that waits for the last.
//!
//! Listing D27, 达内 course notes, 队列Queue (续3) (prose).

use multiprocessing::{JoinableQueue, Process};
use tutorial::{Result, sleep};

fn consumer(q: &JoinableQueue<i32>) -> Result<()> {
    loop {
        let task = q.get()?;
        sleep(0.2);
        println!("done {task}");
        q.task_done()?;
    }
}

fn main() -> Result<()> {
    let q = &JoinableQueue::new(0)?;
    let mut p = Process::new(|| consumer(q));
    p.set_daemon(true)?; // It loops for ever, and ends with this program.
    p.start()?;

    for task in 1..=5 {
        q.put(task)?;
    }
    // An error if a consumer dies over its task; Python's would wait for ever.
    q.join()?;
    println!("all done");

    if let Err(error) = q.task_done() {
        println!("{error}");
    }
    Ok(())
}
