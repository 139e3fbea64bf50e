//! A manager puts two queues on the network, hands out numbers and collects results.
//!
//! Listing N16, notebook, 分布式进程. Python's own `task_worker.py` may be the worker;
//! start it in another terminal within ten seconds. The listing registers the same
//! name twice; here the second queue has its own. An argument is the address to
//! listen at, such as `127.0.0.1:5001` or `/tmp/socket`.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use multiprocessing::managers::{Address, BaseManager, ManagerError, QueueProxy};
use queue::Queue;
use tutorial::{Failure, Result};

/// Time enough to start a worker by hand, so `TEMPO` does not shorten it.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let task_queue = Arc::new(Queue::new(0));
    let result_queue = Arc::new(Queue::new(0));

    let address: Address = match env::args_os().nth(1) {
        Some(address) => address.to_string_lossy().parse()?,
        None => ("", 5000).into(), // port 5000 on every interface
    };
    let mut manager = BaseManager::new(address, b"abc");
    manager.register("get_task_queue", move || task_queue.clone());
    manager.register("get_result_queue", move || result_queue.clone());
    manager.start()?;

    // The queues now live in the server's process. Used without the manager, they
    // would be this process's own copies.
    let task: QueueProxy = manager.create("get_task_queue", ())?;
    let result: QueueProxy = manager.create("get_result_queue", ())?;

    for _ in 0..10 {
        let n = rand::random_range(0..=10_000);
        println!("Put task {n}...");
        task.put(n)?;
    }

    println!("Try get results...");

    for _ in 0..10 {
        let r: String = match result.get_timeout(TIMEOUT) {
            Err(ManagerError::Empty) => Err(Failure::new(
                "No worker came within ten seconds: start task_worker meanwhile.",
            ))?,
            r => r?,
        };
        println!("Result: {r}");
    }

    manager.shutdown()?;
    println!("master exit.");
    Ok(())
}
