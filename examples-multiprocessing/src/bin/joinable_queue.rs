//! A queue whose consumer reports each task, and a producer that waits for the last.
//!
//! Listing D27, 达内 course notes, 附录 `JoinableQueue` (prose).

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
    let q = JoinableQueue::new(0)?;
    let mut p = Process::new(|| consumer(&q));
    p.set_daemon(true)?; // Its loop has no end: it ends with this program.
    p.start()?;

    for task in 1..=5 {
        q.put(task)?;
    }
    // Unlike Python's, an error where a consumer dies with a task in its hands.
    q.join()?;
    println!("all done");

    if let Err(error) = q.task_done() {
        println!("{error}");
    }
    Ok(())
}
