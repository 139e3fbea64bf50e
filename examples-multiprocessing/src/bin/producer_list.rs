//! A producer makes the numbers 0 to 10, and the consumer ends when it has had them all.
//!
//! Listing D24, 达内 course notes, day02 作业 1 (exercise). Instead of a mark that the
//! consumer must know, the producer closes the queue: nobody is left who could put
//! anything, and that is what `get` says. Python's would wait for ever.

use multiprocessing::{GetError, Process, Queue};
use tutorial::Result;

fn producer(output_q: &Queue<i32>) -> Result<()> {
    for i in 0..=10 {
        output_q.put(i)?;
    }
    Ok(()) // Ends, and so closes its queue.
}

fn consumer(input_q: &Queue<i32>) -> Result<()> {
    input_q.close(); // It puts nothing itself.
    loop {
        match input_q.get() {
            Ok(item) => println!("{item}"),
            Err(GetError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn main() -> Result<()> {
    let q = Queue::new(0)?;
    let mut con_p = Process::new(|| consumer(&q));
    let mut pro_p = Process::new(|| producer(&q));
    con_p.start()?;
    pro_p.start()?;
    q.close();
    pro_p.join()?;
    con_p.join()?;
    Ok(())
}
