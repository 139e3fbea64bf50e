//! Two customers of one account: one takes out what the other pays in.
//!
//! Listing D25, 达内 course notes, 银行存取款模型 and its exercise 使用互斥锁去完成.

use multiprocessing::{Lock, Process, RawValue};
use tutorial::Result;

fn withdraw(money: &RawValue<i32>, lock: &Lock) {
    for _ in 0..10 {
        let _held = lock.lock();
        money.set(money.get() - 100);
        println!("A -100: {}", money.get());
    }
}

fn deposit(money: &RawValue<i32>, lock: &Lock) {
    for _ in 0..5 {
        let _held = lock.lock();
        money.set(money.get() + 200);
        println!("B +200: {}", money.get());
    }
}

fn main() -> Result<()> {
    // A `Value` would bring its own lock; the exercise asks for a separate one.
    let money = &RawValue::new(10000)?;
    let lock = &Lock::new()?;
    println!("{}", money.get());

    let mut a = Process::new(|| withdraw(money, lock));
    let mut b = Process::new(|| deposit(money, lock));
    a.start()?;
    b.start()?;
    a.join()?;
    b.join()?;
    println!("{}", money.get());
    Ok(())
}
