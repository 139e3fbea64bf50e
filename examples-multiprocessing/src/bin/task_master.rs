//! A manager puts two queues on the network, hands out ten numbers and collects what
//! workers made of them.
//!
//! Listing N16, notebook, 分布式进程. Python's own `task_worker.py` may be the worker. The
//! listing registers the same name twice; the second queue has its own here. An
//! argument is the address to listen at, such as `127.0.0.1:5001` or `/tmp/socket`.

use std::env;
use std::sync::Arc;

use multiprocessing::managers::{Address, BaseManager, QueueProxy};
use queue::Queue;
use tutorial::{Result, seconds};

fn main() -> Result<()> {
    let task_queue = Arc::new(Queue::new(0));
    let result_queue = Arc::new(Queue::new(0));

    let address: Address = match env::args().nth(1) {
        Some(address) => address.parse()?,
        None => ("", 5000).into(), // port 5000 of every network of this machine
    };
    let mut manager = BaseManager::new(address, b"abc");
    manager.register("get_task_queue", move || task_queue.clone());
    manager.register("get_result_queue", move || result_queue.clone());
    manager.start()?;

    // The queues now live in the server's process: past the manager they would be this
    // process's own copies.
    let task: QueueProxy = manager.create("get_task_queue", ())?;
    let result: QueueProxy = manager.create("get_result_queue", ())?;

    for _ in 0..10 {
        let n = rand::random_range(0..=10_000);
        println!("Put task {n}...");
        task.put(n)?;
    }

    println!("Try get results...");

    for _ in 0..10 {
        let r: String = result.get_timeout(seconds(10.0))?;
        println!("Result: {r}");
    }

    manager.shutdown()?;
    println!("master exit.");
    Ok(())
}
