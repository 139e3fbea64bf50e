//! A pool that nobody waits for: it ends with the program, its tasks unfinished.
//!
//! Listing D54, 达内 course notes, manger.queue. The listing does not show what it
//! calls. Here that is the function of the listings before it, and a callback that
//! prints.

use std::time::Instant;

use multiprocessing::Pool;
use tutorial::{Result, sleep};

fn func(msg: String) {
    println!("Pool: {msg}");
    sleep(3.0);
    println!("Pool: {msg} end");
}

fn cb_func(_: ()) {
    println!("callback");
}

fn main() -> Result<()> {
    let pool = Pool::new(3)?;
    let time1 = Instant::now();
    for i in 0..4 {
        let msg = format!("apply async {i}");
        pool.apply_async(func, (msg,)).callback(cb_func);
    }
    println!("Main end");
    println!("{}", time1.elapsed().as_secs_f64());
    Ok(()) // Here the pool is dropped, which kills its workers.
}
