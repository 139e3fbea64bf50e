//! Four calls that do not block: three run at once, then the fourth.
//!
//! Listing D52, 达内 course notes, `apply_async` 添加任务. The listing closes and joins a
//! `pool` that it calls `p`.

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
        let msg = format!("apply_async {i}");
        p.apply_async(func, (msg,));
    }
    println!("for end");
    p.close();
    p.join()?;
    println!("Main end");
    println!("{}", time1.elapsed().as_secs_f64());
    Ok(())
}
