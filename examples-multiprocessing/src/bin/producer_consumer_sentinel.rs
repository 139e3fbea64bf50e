//! The producer's last item says that there are no more.
//!
//! Listing D23, 达内 course notes, 用None作为标志, its last version: the consumer puts a 6
//! back for the parent. Its `print(item)`, which has slipped below the `break`, is
//! where the version before has it.

use multiprocessing::{Process, Queue};
use tutorial::Result;

fn consumer(input_q: &Queue<Option<i32>>) -> Result<()> {
    loop {
        // Python sends None among the numbers, so this is a queue of Option.
        let Some(item) = input_q.get()? else {
            input_q.put(Some(6))?;
            break;
        };
        println!("{item}");
    }
    Ok(())
}

fn producer(sequence: &[i32], output_q: &Queue<Option<i32>>) -> Result<()> {
    for i in sequence {
        output_q.put(Some(*i))?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let q = &Queue::new(0)?;
    let mut con_p = Process::new(|| consumer(q));
    con_p.start()?;

    let sequence = [1, 2, 3, 4, 5];
    producer(&sequence, q)?;
    q.put(None)?;

    con_p.join()?;
    if let Some(item) = q.get()? {
        println!("{item}");
    }
    Ok(())
}
