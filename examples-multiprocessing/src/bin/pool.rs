//! Five tasks for a pool of four: the fifth waits until a worker is free.
//!
//! Listing N5, notebook, 进程池的方式批量创建子进程.

use std::process;
use std::time::Instant;

use multiprocessing::Pool;
use tutorial::{Result, sleep};

fn long_time_task(name: i32) {
    println!("Run task {name} ({})...", process::id());
    let start = Instant::now();
    sleep(rand::random::<f64>() * 3.0);
    let end = Instant::now();
    println!(
        "Task {name} runs {:.2} seconds.",
        (end - start).as_secs_f64()
    );
}

fn main() -> Result<()> {
    println!("Parent Process is {}", process::id());
    let p = Pool::new(4)?;
    for i in 0..5 {
        p.apply_async(long_time_task, (i,));
    }
    println!("Waiting for all subprocess done");
    p.close(); // Otherwise join would be an error: more tasks could come.
    p.join()?;
    println!("All subprocesses done");
    Ok(())
}
