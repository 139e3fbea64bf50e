//! Four ways to move money between two locked accounts without a deadlock, and a
//! transfer that is rolled back whole.
//!
//! Listing D41, 达内 course notes, 解决死锁的方案 (prose). Two threads pay each other in
//! opposite directions, 200 times each. The locks are `parking_lot`'s, because std's
//! `Mutex` has no time-out.

use std::thread;

use parking_lot::Mutex;
use tutorial::seconds;

struct Account {
    number: u32,
    yuan: Mutex<i32>,
}

fn pay(from: &mut i32, to: &mut i32) {
    *from -= 10;
    *to += 10;
}

// 1. Queue up: only the thread that has the turn takes locks.
fn queue_up(from: &Account, to: &Account) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    pay(&mut from.yuan.lock(), &mut to.yuan.lock());
}

// 2. All of the locks or none of them.
fn all_or_nothing(from: &Account, to: &Account) {
    loop {
        let mut first = from.yuan.lock();
        if let Some(mut second) = to.yuan.try_lock() {
            return pay(&mut first, &mut second);
        }
        drop(first); // Keeping it while waiting is what makes a deadlock.
        thread::yield_now();
    }
}

// 3. Always in the same order, whichever of the two pays.
fn fixed_order(from: &Account, to: &Account) {
    if from.number < to.number {
        let mut first = from.yuan.lock();
        pay(&mut first, &mut to.yuan.lock());
    } else {
        let mut first = to.yuan.lock();
        pay(&mut from.yuan.lock(), &mut first);
    }
}

// 4. Let go if it takes too long. The two must not be equally patient, or they could
// let go and try again in step for ever.
fn time_out(from: &Account, to: &Account) {
    let patience = seconds(0.01 * f64::from(from.number));
    loop {
        let mut first = from.yuan.lock();
        if let Some(mut second) = to.yuan.try_lock_for(patience) {
            return pay(&mut first, &mut second);
        }
    }
}

#[derive(Debug)]
struct PowerCut;

// Both steps or neither.
fn transfer(from: &mut i32, to: &mut i32, power_cut: bool) -> Result<(), PowerCut> {
    let before = *from;
    *from -= 1000;
    if power_cut {
        *from = before;
        return Err(PowerCut);
    }
    *to += 1000;
    Ok(())
}

fn show(what: &str, a: &Account, b: &Account) {
    println!("{what}: A {} B {}", a.yuan.lock(), b.yuan.lock());
}

fn both_ways(name: &str, way: fn(&Account, &Account), a: &Account, b: &Account) {
    thread::scope(|s| {
        s.spawn(|| (0..200).for_each(|_| way(a, b)));
        s.spawn(|| (0..200).for_each(|_| way(b, a)));
    });
    show(name, a, b);
}

fn main() {
    let account = |number, yuan| Account {
        number,
        yuan: Mutex::new(yuan),
    };
    let (a, b) = (&account(1, 3000), &account(2, 2000));

    both_ways("one at a time", queue_up, a, b);
    both_ways("all or nothing", all_or_nothing, a, b);
    both_ways("fixed order", fixed_order, a, b);
    both_ways("time-out", time_out, a, b);

    for power_cut in [true, false] {
        let outcome = transfer(&mut a.yuan.lock(), &mut b.yuan.lock(), power_cut);
        show(&format!("transfer of 1000: {outcome:?}"), a, b);
    }
}
