//! A consumer that asks whether the queue is empty only after the producer is done.
//!
//! Listing D22, 达内 course notes, 生产者消费者模型.

use multiprocessing::{Process, Queue};
use tutorial::{Result, sleep};

fn consumer(input_q: &Queue<i32>) -> Result<()> {
    sleep(2.0);
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
    let q = &Queue::new(0)?;
    let mut con_p = Process::new(|| consumer(q));
    con_p.start()?;

    let sequence = [1, 2, 3, 4, 5];
    producer(&sequence, q)?;
    Ok(()) // The program waits for its consumer before it ends.
}
