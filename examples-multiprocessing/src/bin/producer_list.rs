//! A producer makes the numbers 0 to 10; the consumer ends when it has had them all.
//!
//! Listing D24, 达内 course notes, 使用队列实现生产者消费者模型 (exercise). Instead of putting a
//! mark that the consumer must know, the producer closes the queue. When nobody is
//! left that could put an item, `get` reports that. Python's would wait for ever.

use multiprocessing::{GetError, Process, Queue};
use tutorial::Result;

fn producer(output_q: &Queue<i32>) -> Result<()> {
    for i in 0..=10 {
        output_q.put(i)?;
    }
    Ok(()) // Its end closes the queue for it.
}

fn consumer(input_q: &Queue<i32>) -> Result<()> {
    input_q.close(); // This process puts nothing itself.
    loop {
        match input_q.get() {
            Ok(item) => println!("{item}"),
            Err(GetError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn main() -> Result<()> {
    let q = &Queue::new(0)?;
    let mut con_p = Process::new(|| consumer(q));
    let mut pro_p = Process::new(|| producer(q));
    con_p.start()?;
    pro_p.start()?;
    q.close();
    pro_p.join()?;
    con_p.join()?;
    Ok(())
}
