//! A hundred tasks for five workers, and what each returns goes to a callback.
//!
//! Listing T23, 《Python(十) 进程、线程、协程篇》 1.2.3 进程池. The quotes that the listing has
//! lost are put back.

use multiprocessing::Pool;
use tutorial::{Result, sleep};

fn foo(i: i32) -> i32 {
    sleep(1.0);
    i + 100
}

/// Runs in the parent, in a thread of the pool.
fn bar(arg: i32) {
    println!("--->exec done {arg}");
}

fn main() -> Result<()> {
    let pool = Pool::new(5)?;
    for i in 0..100 {
        pool.apply_async(foo, (i,)).callback(bar);
    }
    println!("end");
    pool.close();
    pool.join()?; // Otherwise the program would end here, before any task.
    Ok(())
}
