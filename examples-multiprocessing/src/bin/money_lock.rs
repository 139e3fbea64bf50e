//! A lock makes one step of reading a number and writing it back.
//!
//! Listing D31, 达内 course notes, 注意锁的粒度.

use multiprocessing::{Lock, Process, RawValue};
use tutorial::Result;

fn f(money: &RawValue<i32>, lock: &Lock) -> Result<()> {
    for _ in 0..100_000 {
        lock.acquire();
        money.set(money.get() + 1);
        lock.release()?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let money = &RawValue::new(0)?;
    let lock = &Lock::new()?;

    let mut processes = Vec::new();
    for _ in 0..2 {
        let mut p = Process::new(|| f(money, lock));
        p.start()?;
        processes.push(p);
    }
    for p in processes {
        p.join()?;
    }
    println!("{}", money.get());
    Ok(())
}
