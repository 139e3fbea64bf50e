//! Sums of squares, by a pool and by one process, both timed.
//!
//! Listing D53, 达内 course notes, 前n个数的平方和.

use std::hint::black_box;
use std::time::Instant;

use multiprocessing::{Pool, cpu_count};
use tutorial::Result;

fn cal(n: u64) -> u64 {
    let mut sum = 0;
    for i in 0..n {
        // Otherwise the optimiser would find the formula, and there would be no
        // work.
        sum += black_box(i) * i;
    }
    sum
}

fn main() -> Result<()> {
    let cal_count = 20_000;
    let check_num = 1001;

    let t1 = Instant::now();
    let p = Pool::new(cpu_count())?;
    let result = p.map(cal, 0..cal_count)?;
    p.close();
    p.join()?;
    println!("{}", result[check_num]);
    println!("进程池花费了 {:.6}", t1.elapsed().as_secs_f64());

    let t2 = Instant::now();
    let mut result2 = Vec::new();
    for i in 0..cal_count {
        result2.push(cal(i));
    }
    println!("{}", result2[check_num]);
    println!("单个进程花费了 {:.6}", t2.elapsed().as_secs_f64());
    Ok(())
}
