//! The synchronisation objects, one after another, and what they refuse.
//!
//! Listing D37, 达内 course notes, 类 multiprocessing.Lock (prose). Python's `with`
//! is a guard here, beside acquire and release. The notes' semaphore may be
//! changed by any number at once; `release` of Python's multiprocessing takes no
//! count.

use std::time::Duration;

use multiprocessing::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, Process, RLock, Semaphore,
};
use tutorial::Result;

const SOON: Duration = Duration::from_millis(50);

/// Runs a function in another process and waits for its end.
fn elsewhere(function: impl FnOnce()) -> Result<()> {
    let mut p = Process::new(function);
    p.start()?;
    p.join()?;
    Ok(())
}

fn lock() -> Result<()> {
    let lock = Lock::new()?;
    lock.acquire();
    println!("Lock, taken: {:?}", lock.try_acquire());
    println!("Lock, with a timeout: {:?}", lock.acquire_timeout(SOON));
    elsewhere(|| println!("Lock, release elsewhere: {:?}", lock.release()))?;
    println!("Lock, acquire now: {:?}", lock.try_acquire());
    lock.release()?;
    println!("Lock, release again: {:?}", lock.release());
    {
        let _held = lock.lock(); // Python: with lock
        println!("Lock, in its guard's scope: {:?}", lock.try_acquire());
    }
    println!("Lock, after it: {}", lock.try_lock().is_some());
    Ok(())
}

fn rlock() -> Result<()> {
    let lock = RLock::new()?;
    lock.acquire();
    println!("RLock, again: {:?}", lock.try_acquire());
    elsewhere(|| println!("RLock, acquire elsewhere: {:?}", lock.try_acquire()))?;
    elsewhere(|| println!("RLock, release elsewhere: {:?}", lock.release()))?;
    lock.release()?;
    lock.release()?;
    println!("RLock, once too often: {:?}", lock.release());
    let held = lock.lock();
    let again = lock.lock();
    drop((held, again));
    elsewhere(|| println!("RLock, after two guards: {:?}", lock.try_acquire()))?;
    Ok(())
}

fn semaphores() -> Result<()> {
    let semaphore = Semaphore::new(1)?;
    semaphore.acquire();
    println!("Semaphore, none left: {}", semaphore.acquire_timeout(SOON));
    semaphore.release();
    semaphore.release();
    // Its number is where it starts, not its ceiling.
    println!("Semaphore, more than at first: {}", semaphore.get_value());
    let permit = semaphore.permit();
    println!("Semaphore, beside a permit: {}", semaphore.get_value());
    drop(permit);

    let bounded = BoundedSemaphore::new(1)?;
    println!("BoundedSemaphore, one too many: {:?}", bounded.release());
    Ok(())
}

fn condition() -> Result<()> {
    let condition = Condition::new()?;
    println!("Condition, without its lock: {:?}", condition.notify(1));
    let held = condition.lock();
    println!(
        "Condition, nobody notifies: {:?}",
        condition.wait_timeout(SOON)
    );
    let mut p = Process::new(|| {
        let _held = condition.lock(); // Once the wait has given it up.
        condition.notify_all()
    });
    p.start()?;
    println!("Condition, notified: {:?}", condition.wait());
    drop(held);
    p.join()?;
    Ok(())
}

fn event() -> Result<()> {
    let event = Event::new()?;
    println!("Event, nobody sets it: {}", event.wait_timeout(SOON));
    elsewhere(|| event.set())?;
    println!("Event, set elsewhere: {}", event.wait_timeout(SOON));
    Ok(())
}

fn barrier() -> Result<()> {
    let barrier = Barrier::new(2)?;
    println!("Barrier, nobody comes: {:?}", barrier.wait_timeout(SOON));
    println!("Barrier, broken: {}", barrier.broken());
    barrier.reset();
    let mut p = Process::new(|| barrier.wait().map(drop));
    p.start()?;
    println!("Barrier, both come: {}", barrier.wait().is_ok());
    p.join()?;
    barrier.abort();
    println!("Barrier, aborted: {:?}", barrier.wait());
    Ok(())
}

fn main() -> Result<()> {
    lock()?;
    rlock()?;
    semaphores()?;
    condition()?;
    event()?;
    barrier()
}
