//! Each type of object that a manager serves, used by two processes.
//!
//! Listing T25, 《Python(十) 进程、线程、协程篇》 由Manager()返回manager, and 达内 course notes,
//! 经理 (prose). The manager's dict and list are those of T21.

use multiprocessing::Process;
use multiprocessing::managers::{
    ArrayProxy, BarrierProxy, ConditionProxy, EventProxy, LockProxy, NamespaceProxy,
    QueueProxy, SemaphoreProxy, ValueProxy, manager,
};
use tutorial::Result;

struct Shared {
    namespace: NamespaceProxy,
    lock: LockProxy,
    rlock: LockProxy,
    semaphore: SemaphoreProxy,
    bounded: SemaphoreProxy,
    condition: ConditionProxy,
    event: EventProxy,
    barrier: BarrierProxy,
    queue: QueueProxy,
    value: ValueProxy,
    array: ArrayProxy,
}

fn work(n: i64, shared: &Shared) -> Result<()> {
    shared.barrier.wait()?; // Both begin here.

    let held = shared.lock.lock()?;
    let sum: i64 = shared.namespace.get("sum")?;
    shared.namespace.set("sum", sum + n)?;
    drop(held);

    let held = shared.rlock.lock()?;
    let again = shared.rlock.lock()?; // A Lock would wait for itself.
    shared.value.set(10 * shared.value.get::<i64>()?)?;
    drop((again, held));

    shared.semaphore.acquire()?;
    shared.array.set(n - 1, n)?;
    shared.semaphore.release()?;

    shared.bounded.acquire()?;
    shared.bounded.release()?;

    let held = shared.condition.lock()?;
    shared.queue.put(n)?;
    shared.condition.notify_all()?;
    drop(held);

    shared.event.wait()?; // Both end when the parent says so.
    Ok(())
}

fn main() -> Result<()> {
    let manager = manager()?;
    let shared = &Shared {
        namespace: manager.namespace()?,
        lock: manager.lock()?,
        rlock: manager.rlock()?,
        semaphore: manager.semaphore(1)?,
        bounded: manager.bounded_semaphore(1)?,
        condition: manager.condition(None)?,
        event: manager.event()?,
        barrier: manager.barrier(2)?,
        queue: manager.queue(0)?,
        value: manager.value('i', 1)?,
        array: manager.array('i', [0, 0])?,
    };
    shared.namespace.set("sum", 0)?;

    let mut processes = Vec::new();
    for n in [1, 2] {
        let mut p = Process::new(move || work(n, shared));
        p.start()?;
        processes.push(p);
    }

    let held = shared.condition.lock()?;
    while shared.queue.qsize()? < 2 {
        shared.condition.wait()?;
    }
    drop(held);
    println!("Condition, Queue: {} items", shared.queue.qsize()?);
    shared.event.set()?;
    println!("Event: is_set {}", shared.event.is_set()?);
    for p in processes {
        p.join()?;
    }
    println!("Barrier: {} parties", shared.barrier.parties()?);
    println!(
        "Lock, Namespace: sum {}",
        shared.namespace.get::<i64>("sum")?
    );
    println!("RLock, Value: {}", shared.value.get::<i64>()?);
    println!("Semaphore, Array: {:?}", shared.array.to_vec::<i64>()?);
    if let Err(error) = shared.bounded.release() {
        println!("BoundedSemaphore, one too many: {error}");
    }
    Ok(())
}
