//! A master submits ten numbers to a broker and collects their squares.
//!
//! This is listings N16 and N17 over Redis instead of a manager. Workers may be started
//! and stopped on any machine, and if one is killed, no task is lost. The two programs
//! share only the name of a function. The optional argument is the broker's address, such
//! as `redis://192.168.1.2:6379/0`.

use std::env;

use multiprocessing::Pool;
use multiprocessing::broker::Tasks;
use tutorial::Result;

/// This program only needs the function's name and types: `broker_worker` runs its own
/// copy.
fn square(n: i64) -> String {
    format!("{n} * {n} = {}", n * n)
}

fn main() -> Result<()> {
    let argument = env::args().nth(1);
    let address = argument.as_deref().unwrap_or("redis://127.0.0.1:6379/0");
    let tasks = Tasks::new().add("square", square);
    let pool = Pool::builder().broker(address).tasks(tasks).start()?;

    let mut results = Vec::new();
    for _ in 0..10 {
        let n = rand::random_range(0..=10_000);
        println!("Put task {n}...");
        results.push(pool.apply_async(square, (n,)));
    }

    println!("Try get results...");
    for result in results {
        println!("Result: {}", result.get()?);
    }

    println!("master exit.");
    Ok(())
}
