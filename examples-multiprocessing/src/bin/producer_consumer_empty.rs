//! A consumer that ends when it finds the queue empty, and why that is not reliable.
//!
//! Listing D21, 达内 course notes, 生产者消费者模型. The names that the listing misspells are
//! mended, and its consumer is started. An empty queue may mean nothing yet or
//! nothing more, so what the consumer sees depends on who is faster. The last line
//! says how much it left.

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
    let q = &Queue::new(0)?;
    let mut con_p = Process::new(|| consumer(q));
    con_p.start()?;

    let sequence = [1, 2, 3, 4, 5];
    producer(&sequence, q)?;
    con_p.join()?;
    println!("left in the queue: {}", q.qsize());
    Ok(())
}
