//! The methods of a queue, one after the other.
//!
//! Listing D26, 达内 course notes, 进程间通信的常用方式 (prose). The text asks `empty()` before
//! it gets; another consumer may come in between, so ask `get_nowait` instead.
//! `qsize` raises `NotImplementedError` in Python on macOS; here it is a number in
//! shared memory. There is no feeder thread, so `join_thread` has nothing to wait
//! for.

use multiprocessing::{Event, GetError, Process, PutError, Queue};
use tutorial::{Result, seconds, sleep};

fn refill(q: &Queue<String>, found_empty: &Event) -> Result<()> {
    sleep(0.5);
    println!("child: get() -> {:?}", q.get()?);
    found_empty.wait();
    sleep(0.5);
    println!("child: put(\"d\")");
    q.put("d".into())?;
    Ok(())
}

fn state(q: &Queue<String>) {
    let (empty, full, qsize) = (q.empty(), q.full(), q.qsize());
    println!("empty: {empty}, full: {full}, qsize: {qsize}");
}

fn main() -> Result<()> {
    let q = &Queue::new(2)?;
    let found_empty = &Event::new()?;
    state(q);
    q.put("a".into())?;
    q.put_nowait("b".into())?;
    state(q);

    // Not to wait, and to wait for a while
    if let Err(PutError::Full(item)) = q.put_nowait("c".into()) {
        println!("put_nowait({item:?}): Full");
    }
    if let Err(PutError::Full(item)) = q.put_timeout("c".into(), seconds(0.2)) {
        println!("put_timeout({item:?}): Full");
    }

    // To wait until somebody makes room
    let mut p = Process::new(|| refill(q, found_empty));
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
    found_empty.set();
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
