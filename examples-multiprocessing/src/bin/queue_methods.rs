//! The methods of a queue, one after the other.
//!
//! Listing D26, 达内 course notes, day02 and 附录, 队列Queue (prose). `qsize` raises
//! `NotImplementedError` in Python on macOS; here it is a number in shared memory.
//! There is no feeder thread, so `join_thread` has nothing to wait for.

use multiprocessing::{GetError, Process, PutError, Queue};
use tutorial::{Result, seconds, sleep};

fn refill(q: &Queue<String>) -> Result<()> {
    sleep(0.5);
    println!("child: get() -> {:?}", q.get()?);
    sleep(1.0);
    println!("child: put(\"d\")");
    q.put("d".into())?;
    Ok(())
}

fn main() -> Result<()> {
    let q = Queue::new(2)?;
    println!(
        "empty: {}, full: {}, qsize: {}",
        q.empty(),
        q.full(),
        q.qsize()
    );
    q.put("a".to_string())?;
    q.put_nowait("b".to_string())?;
    println!(
        "empty: {}, full: {}, qsize: {}",
        q.empty(),
        q.full(),
        q.qsize()
    );

    // Not to wait, and to wait for a while
    if let Err(PutError::Full(item)) = q.put_nowait("c".into()) {
        println!("put_nowait({item:?}): Full");
    }
    if let Err(PutError::Full(item)) = q.put_timeout("c".into(), seconds(0.2)) {
        println!("put_timeout({item:?}): Full");
    }

    // To wait until somebody makes room
    let mut p = Process::new(|| refill(&q));
    p.start()?;
    q.put("c".into())?;
    println!("put(\"c\") came in");

    println!("get() -> {:?}", q.get()?);
    println!("get_nowait() -> {:?}", q.get_nowait()?);
    if q.get_nowait() == Err(GetError::Empty) {
        println!("get_nowait(): Empty");
    }
    if q.get_timeout(seconds(0.1)) == Err(GetError::Empty) {
        println!("get_timeout(): Empty");
    }
    // To wait until somebody puts
    println!("get() -> {:?}", q.get()?);
    p.join()?;

    q.close();
    if let Err(PutError::Closed(item)) = q.put("e".into()) {
        println!("put({item:?}): the queue is closed");
    }
    q.cancel_join_thread(); // Python: what was put may be lost.
    q.join_thread(); // Python: wait until it is written.
    Ok(())
}
