//! A function that holds a lock calls another that takes the same lock.
//!
//! Listing D32, 达内 course notes, 递归锁. The listing leaves open what `f1` and its `f0`
//! do. Here `f1` takes the lock a second time; with a `Lock` it would wait for
//! itself for ever.

use multiprocessing::{Process, RLock, RawValue};
use tutorial::Result;

fn f(money: &RawValue<i32>, lock: &RLock) -> Result<()> {
    lock.acquire();
    f1(money, lock)?;
    money.set(money.get() + 1);
    lock.release()?;
    Ok(())
}

fn f1(money: &RawValue<i32>, lock: &RLock) -> Result<()> {
    lock.acquire();
    f0(money);
    lock.release()?; // Not free yet: f still holds it.
    Ok(())
}

fn f0(money: &RawValue<i32>) {
    money.set(money.get() + 1);
}

fn main() -> Result<()> {
    let money = &RawValue::new(0)?;
    let lock = &RLock::new()?;

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
