//! `hello,world` after ten seconds, and a timer that was cancelled in time.
//!
//! Listing T10, 《Python(十) 进程、线程、协程篇》1.1.7 Timer定时器. The cancelled timer is more
//! than the listing has.

use threading::Timer;
use tutorial::{Result, seconds};

fn hello() {
    println!("hello,world");
}

fn main() -> Result<()> {
    let t = Timer::start(seconds(10.0), hello)?;

    let cancelled = Timer::start(seconds(10.0), || println!("never printed"))?;
    cancelled.cancel();
    cancelled.join().unwrap(); // At once, not after ten seconds.
    println!("one timer cancelled");

    // Python's exit waits for a timer. Without this line the end of main would end it.
    t.join().unwrap();
    Ok(())
}
