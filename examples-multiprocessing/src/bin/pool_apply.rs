//! Four blocking calls, one after the other although there are three workers.
//!
//! Listing D51, 达内 course notes, apply 添加任务.

use std::time::Instant;

use multiprocessing::Pool;
use tutorial::{Result, sleep};

fn func(msg: String) {
    println!("Pool: {msg}");
    sleep(3.0);
    println!("Pool: {msg} end");
}

fn main() -> Result<()> {
    let p = Pool::new(3)?;
    let time1 = Instant::now();
    for i in 0..4 {
        let msg = format!("apply {i}");
        p.apply(func, (msg,))?;
    }
    println!("for end");
    p.close();
    p.join()?;
    println!("Main end");
    println!("{}", time1.elapsed().as_secs_f64());
    Ok(())
}
