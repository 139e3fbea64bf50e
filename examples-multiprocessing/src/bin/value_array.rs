//! A number and an array in shared memory, changed by two processes.
//!
//! Listing T20, 《Python(十) 进程、线程、协程篇》 `数据可以用Value和Array`. The quotes that the
//! listing has lost are put back.

#![allow(clippy::unreadable_literal, reason = "the number is the listing's")]

use multiprocessing::{Array, Process, Value};
use tutorial::Result;

fn func(a: &Value<f64>, b: &Array<i32>) {
    a.set(3.333333333333333);
    for i in 0..b.len() {
        // Python locks once to read and again to write. In between, the other
        // process could negate the same element, and one of the two negations would
        // be lost.
        let mut b = b.lock();
        b[i] = -b[i];
    }
}

fn main() -> Result<()> {
    let num = &Value::new(0.0)?;
    let arr = &Array::new(0..11)?;

    let mut c = Process::new(|| func(num, arr));
    let mut d = Process::new(|| func(num, arr));
    c.start()?;
    d.start()?;
    c.join()?;
    d.join()?;

    println!("{}", num.get());
    for i in arr.lock().iter() {
        println!("{i}");
    }
    Ok(())
}
