//! A worker finds the queues of `task_master` on the network and squares ten numbers.
//!
//! Listing N17, notebook, `task_worker.py`. Python's own `task_master.py` may be the
//! master. An argument is the master's address. A name need not be registered before
//! it is asked for.

use std::env;
use std::ffi::OsStr;

use multiprocessing::managers::{Address, BaseManager, ManagerError, QueueProxy};
use tutorial::{Result, seconds, sleep};

fn main() -> Result<()> {
    let argument = env::args_os().nth(1);
    let argument = argument.as_deref().map(OsStr::to_string_lossy);
    let server_addr = argument.as_deref().unwrap_or("127.0.0.1");
    println!("Connect to server {server_addr}...");

    let address: Address = match argument {
        Some(_) => server_addr.parse()?,
        None => (server_addr, 5000).into(),
    };
    let mut m = BaseManager::new(address, b"abc");
    m.connect()?;

    let task: QueueProxy = m.create("get_task_queue", ())?;
    let result: QueueProxy = m.create("get_result_queue", ())?;

    for _ in 0..10 {
        match task.get_timeout::<i64>(seconds(1.0)) {
            Ok(n) => {
                println!("run task {n} * {n}...");
                let r = format!("{n} * {n} = {}", n * n);
                sleep(1.0);
                result.put(r)?;
            }
            // Python's listing says Queue.Empty, and means queue.Empty.
            Err(ManagerError::Empty) => println!("task queue is empty"),
            Err(error) => return Err(error.into()),
        }
    }
    println!("worker exit");
    Ok(())
}
