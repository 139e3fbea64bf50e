//! Each type of object that a manager serves, used by two processes.
//!
//! Listing T25, 《Python(十) 进程、线程、协程篇》 由Manager()返回manager, and 达内 course notes,
//! 经理 (prose). The manager's dict and list are those of T21.

use multiprocessing::Process;
use multiprocessing::managers::manager;
use tutorial::Result;

fn main() -> Result<()> {
    let manager = manager()?;
    let namespace = manager.namespace()?;
    let lock = manager.lock()?;
    let rlock = manager.rlock()?;
    let semaphore = manager.semaphore(1)?;
    let bounded_semaphore = manager.bounded_semaphore(1)?;
    let condition = manager.condition(None)?;
    let event = manager.event()?;
    let barrier = manager.barrier(2)?;
    let queue = manager.queue(0)?;
    let value = manager.value('i', 1)?;
    let array = manager.array('i', [0, 0])?;
    namespace.set("sum", 0)?;

    let work = &|n: i64| -> Result<()> {
        barrier.wait()?; // Both processes go on from here.

        let held = lock.lock()?;
        let sum: i64 = namespace.get("sum")?;
        namespace.set("sum", sum + n)?;
        drop(held);

        let held = rlock.lock()?;
        let again = rlock.lock()?; // A Lock would wait for itself.
        value.set(10 * value.get::<i64>()?)?;
        drop((again, held));

        semaphore.acquire()?;
        array.set(n - 1, n)?;
        semaphore.release()?;

        bounded_semaphore.acquire()?;
        bounded_semaphore.release()?;

        let held = condition.lock()?;
        queue.put(n)?;
        condition.notify_all()?;
        drop(held);

        event.wait()?; // Both end when the parent says so.
        Ok(())
    };
    let mut processes = Vec::new();
    for n in [1, 2] {
        let mut p = Process::new(move || work(n));
        p.start()?;
        processes.push(p);
    }

    let held = condition.lock()?;
    while queue.qsize()? < 2 {
        condition.wait()?;
    }
    drop(held);
    println!("Condition, Queue: {} items", queue.qsize()?);
    event.set()?;
    println!("Event: is_set {}", event.is_set()?);
    for p in processes {
        p.join()?;
    }
    println!("Barrier: {} parties", barrier.parties()?);
    println!("Lock, Namespace: sum {}", namespace.get::<i64>("sum")?);
    println!("RLock, Value: {}", value.get::<i64>()?);
    println!("Semaphore, Array: {:?}", array.to_vec::<i64>()?);
    if let Err(error) = bounded_semaphore.release() {
        println!("BoundedSemaphore, one too many: {error}");
    }
    Ok(())
}
