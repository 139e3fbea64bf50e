//! A worker takes numbers from a broker, squares them and reports each, until Ctrl+C.
//!
//! This is listings N16 and N17 over Redis instead of a manager. Start several workers,
//! also on other machines, and kill one: another takes its task three seconds later. The
//! optional argument is the broker's address, such as `redis://192.168.1.2:6379/0`.

use std::env;
use std::time::Duration;

use multiprocessing::broker::Tasks;
use tutorial::{Result, sleep};

/// A worker that is silent for this long counts as dead, so `TEMPO` does not shorten it.
const LEASE: Duration = Duration::from_secs(3);

fn square(n: i64) -> String {
    println!("run task {n} * {n}...");
    sleep(1.0);
    format!("{n} * {n} = {}", n * n)
}

fn main() -> Result<()> {
    let argument = env::args().nth(1);
    let address = argument.as_deref().unwrap_or("redis://127.0.0.1:6379/0");
    println!("Connect to server {address}...");
    let worker = Tasks::new().add("square", square).worker(address)?;
    // The function runs in a child of this process.
    worker.processes(1).lease(LEASE).serve()?;
    println!("worker exit");
    Ok(())
}
