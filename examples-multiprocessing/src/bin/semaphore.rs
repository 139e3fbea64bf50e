//! Five consumers, and a semaphore that lets two in at a time.
//!
//! Listing D33, 达内 course notes, 信号量的使用与互斥锁类似.

use multiprocessing::{Process, Semaphore, current_process};
use tutorial::{Result, sleep};

fn consumer(s: &Semaphore) {
    s.acquire();
    println!("{}get", current_process().name());
    sleep(1.0);
    s.release();
    // The next one may be in before this is printed.
    println!("{}release", current_process().name());
}

fn main() -> Result<()> {
    let s = &Semaphore::new(2)?;

    for _ in 0..5 {
        let mut p = Process::new(|| consumer(s));
        p.start()?;
    }

    println!("Main End");
    Ok(())
}
