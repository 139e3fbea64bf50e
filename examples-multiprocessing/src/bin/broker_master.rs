//! A master gives ten numbers to a broker and collects what workers made of them.
//!
//! Listings N16 and N17 once more, over Redis instead of a manager: workers may come
//! and go, on any machine, and one that is killed costs nothing. What the two programs
//! share is the name of a function. An argument is the broker's address, such as
//! `redis://192.168.1.2:6379/0`.

use std::env;

use multiprocessing::Pool;
use multiprocessing::broker::Tasks;
use tutorial::Result;

/// What it does is `broker_worker`'s business; here it stands for its name and types.
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
