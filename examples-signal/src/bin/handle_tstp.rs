//! Waits for Ctrl+Z (or `kill -TSTP`) and handles it.
//!
//! Listing V11, 《Python标准库（中）》2、预设信号处理函数. Python's own handler, in C, only makes a
//! note of the signal, and the main thread calls the function later. Here both are
//! visible: signal-hook's handler makes the note, and `main` reads it and calls the
//! function.

use nix::sys::signal::Signal;
use signal_hook::iterator::Signals;
use tutorial::Result;

// Python's second argument, the interrupted frame, has no counterpart: only the wait is
// interrupted.
fn my_handler(signum: i32) {
    println!("I received:  {signum}");
}

fn main() -> Result<()> {
    let mut signals = Signals::new([Signal::SIGTSTP as i32])?;
    // signal.pause(). A signal that came since the line above is not lost. With the
    // system's `pause` it would be, and the program would wait for another one.
    if let Some(signum) = signals.forever().next() {
        my_handler(signum);
    }
    println!("End of Signal Demo");
    Ok(())
}
