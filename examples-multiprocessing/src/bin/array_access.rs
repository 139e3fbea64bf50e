//! How long it takes to walk an array in shared memory.
//!
//! Listing D36, 达内 course notes, test share memory, and its exercise 把共享内存: the
//! second walk finds 0 to 9. Python takes the array's lock for each element, and so
//! does this. To lock once and walk a slice is faster.

use std::time::{Duration, Instant};

use multiprocessing::{Array, Process};
use tutorial::Result;

fn trans(a: &Array<i32>, size: usize) {
    let t = Instant::now();
    for i in 0..size {
        println!("{}", a.lock()[i]);
    }
    println!("消耗了 {}", timedelta(t.elapsed()));
}

/// A time of less than a minute, as Python prints it.
fn timedelta(time: Duration) -> String {
    format!("0:00:{:02}.{:06}", time.as_secs(), time.subsec_micros())
}

fn main() -> Result<()> {
    println!("test share memory:");
    let num = 10;
    let a = &Array::zeroed(num)?;
    let mut p = Process::new(|| trans(a, num));
    p.start()?;
    p.join()?;

    for (i, element) in (0..).zip(a.lock().iter_mut()) {
        *element = i;
    }
    let mut p = Process::new(|| trans(a, num));
    p.start()?;
    p.join()?;
    Ok(())
}
