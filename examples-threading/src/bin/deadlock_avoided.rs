//! Three ways to take two locks and never deadlock, and a transfer that is rolled back
//! whole.
//!
//! Listing D41, 达内 course notes, day01 解决死锁的方案 (prose). The locks are
//! `parking_lot`'s, because std's `Mutex` has no time-out.

use std::thread;

use parking_lot::{Mutex, MutexGuard};
use tutorial::seconds;

struct Account {
    number: u32,
    yuan: Mutex<i32>,
}

impl Account {
    fn new(number: u32, yuan: i32) -> Self {
        let yuan = Mutex::new(yuan);
        Self { number, yuan }
    }
}

type Both<'a> = (MutexGuard<'a, i32>, MutexGuard<'a, i32>);
type TakeBoth = for<'a> fn(&'a Account, &'a Account) -> Both<'a>;

// 2. All of the locks or none of them
fn all_or_nothing<'a>(from: &'a Account, to: &'a Account) -> Both<'a> {
    loop {
        let first = from.yuan.lock();
        if let Some(second) = to.yuan.try_lock() {
            return (first, second);
        }
        drop(first); // Keeping it while waiting is what a deadlock is made of.
        thread::yield_now();
    }
}

// 3. Always in the same order, whoever pays whom
fn fixed_order<'a>(from: &'a Account, to: &'a Account) -> Both<'a> {
    if from.number < to.number {
        let first = from.yuan.lock();
        (first, to.yuan.lock())
    } else {
        let second = to.yuan.lock();
        (from.yuan.lock(), second)
    }
}

// 4. Let go when it takes too long. Who lets go first must be settled: were both
// equally patient, they could let go and try again in step for ever.
fn time_out<'a>(from: &'a Account, to: &'a Account) -> Both<'a> {
    let patience = seconds(0.01 * f64::from(from.number));
    loop {
        let first = from.yuan.lock();
        if let Some(second) = to.yuan.try_lock_for(patience) {
            return (first, second);
        }
    }
}

#[derive(Debug)]
struct PowerCut;

// Both steps or neither
fn transfer(
    from: &mut i32,
    to: &mut i32,
    amount: i32,
    power: Result<(), PowerCut>,
) -> Result<(), PowerCut> {
    let before = *from;
    *from -= amount;
    if let Err(cut) = power {
        *from = before;
        return Err(cut);
    }
    *to += amount;
    Ok(())
}

fn main() {
    let ways: [(&str, TakeBoth); 3] = [
        ("all or nothing", all_or_nothing),
        ("fixed order", fixed_order),
        ("time-out", time_out),
    ];
    let (a, b) = &(Account::new(1, 3000), Account::new(2, 2000));

    for (name, take_both) in ways {
        let pay = |from, to, times| {
            for _ in 0..times {
                let (mut from, mut to) = take_both(from, to);
                transfer(&mut from, &mut to, 10, Ok(())).unwrap();
            }
        };
        thread::scope(|s| {
            s.spawn(|| pay(a, b, 200));
            s.spawn(|| pay(b, a, 200));
        });
        println!("{name}: A {} B {}", a.yuan.lock(), b.yuan.lock());
    }

    for power in [Err(PowerCut), Ok(())] {
        let (mut from, mut to) = fixed_order(a, b);
        let outcome = transfer(&mut from, &mut to, 1000, power);
        println!("transfer of 1000: {outcome:?}, A {from} B {to}");
    }
}
