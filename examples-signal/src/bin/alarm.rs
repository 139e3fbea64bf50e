//! Prints `not yet` for five seconds, until SIGALRM.
//!
//! Listing V14, 《Python标准库（中）》二 §3. As in Python the handler proper only raises a
//! flag; the loop looks at it between two lines and calls the function. (Python may do
//! so in the middle of a line.) Were the handler to print itself, it would find the
//! lock of standard output in the hands of the `println!` that it interrupted.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use examples_threading::{Failure, interval};
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use signal_hook::flag;

fn my_handler() -> ! {
    println!("Now, it's the time");
    process::exit(0);
}

// signal.alarm(seconds). The system's `alarm` counts in whole seconds, so a timer
// stands in for it that `TEMPO` can hurry. It is switched off where it is dropped.
fn alarm(seconds: f64) -> nix::Result<Timer> {
    let mut timer = Timer::new(
        ClockId::CLOCK_MONOTONIC,
        SigEvent::new(SigevNotify::SigevSignal {
            signal: Signal::SIGALRM,
            si_value: 0,
        }),
    )?;
    let once = interval(seconds).max(Duration::from_nanos(1)); // 0 switches it off
    timer.set(Expiration::OneShot(once.into()), TimerSetTimeFlags::empty())?;
    Ok(timer)
}

fn main() -> Result<(), Failure> {
    let rang = Arc::new(AtomicBool::new(false));
    flag::register(Signal::SIGALRM as i32, Arc::clone(&rang))?;
    let _timer = alarm(5.0)?;
    loop {
        if rang.load(Relaxed) {
            my_handler();
        }
        println!("not yet");
    }
}
