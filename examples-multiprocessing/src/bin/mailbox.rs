//! A mailbox with one slot: a number in shared memory and two semaphores.
//!
//! Listing D64, 达内 course notes, 共享内存+信号量 (prose). Shared memory carries the number
//! without copying it through the system, and says nothing about when it is there.
//! That is what the semaphores add: `acquire` is P, `release` is V.

use multiprocessing::{Process, RawValue, Semaphore};
use tutorial::{Result, sleep};

struct Mailbox {
    slot: RawValue<i32>,
    empty: Semaphore,
    full: Semaphore,
}

impl Mailbox {
    fn put(&self, letter: i32) {
        self.empty.acquire();
        self.slot.set(letter);
        println!("put {letter}");
        self.full.release();
    }

    fn get(&self) -> i32 {
        self.full.acquire();
        let letter = self.slot.get();
        println!("got {letter}");
        self.empty.release();
        letter
    }
}

fn main() -> Result<()> {
    let mailbox = &Mailbox {
        slot: RawValue::new(0)?,
        empty: Semaphore::new(1)?,
        full: Semaphore::new(0)?,
    };
    let mut p = Process::new(|| (1..=5).for_each(|letter| mailbox.put(letter)));
    p.start()?;
    let mut sum = 0;
    for _ in 1..=5 {
        sleep(0.2);
        sum += mailbox.get();
    }
    p.join()?;
    println!("sum {sum}");
    Ok(())
}
