//! A consumer that ends when it finds the queue empty, and why that is no good.
//!
//! Listing D21, 达内 course notes, day02 生产者消费者模型. The names that the listing
//! misspells are mended and its consumer is started. Whether it sees an item depends on
//! who is faster: empty means nothing yet as well as nothing more. So what it left is
//! told at the end.

use multiprocessing::{Process, Queue};
use tutorial::Result;

fn consumer(input_q: &Queue<i32>) -> Result<()> {
    while !input_q.empty() {
        println!("{}", input_q.get()?);
    }
    Ok(())
}

fn producer(sequence: &[i32], output_q: &Queue<i32>) -> Result<()> {
    for i in sequence {
        output_q.put(*i)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let q = Queue::new(0)?;
    let mut con_p = Process::new(|| consumer(&q));
    con_p.start()?;

    let sequence = [1, 2, 3, 4, 5];
    producer(&sequence, &q)?;
    con_p.join()?;
    println!("left in the queue: {}", q.qsize());
    Ok(())
}
