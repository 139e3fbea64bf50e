//! Prints `not yet` for five seconds, until SIGALRM.
//!
//! Listing V14, 《Python标准库（中）》定时发出SIGALRM信号. As in Python the real handler only sets
//! a flag. The loop looks at the flag between two lines and calls the function;
//! Python may do so in the middle of a line. A handler that printed would interrupt
//! a `println!` and find standard output in use.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use signal_hook::consts::SIGALRM;
use signal_hook::flag;
use signals::alarm;
use tutorial::Result;

fn my_handler() -> ! {
    println!("Now, it's the time");
    process::exit(0);
}

fn main() -> Result<()> {
    let rang = Arc::new(AtomicBool::new(false));
    flag::register(SIGALRM, Arc::clone(&rang))?;
    let _timer = alarm(5.0)?;
    loop {
        if rang.load(Relaxed) {
            my_handler();
        }
        println!("not yet");
    }
}
