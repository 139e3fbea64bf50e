//! Waits for Ctrl+Z (or `kill -TSTP`) and handles it.
//!
//! Listing V11, 《Python标准库（中）》二 §2. Behind the scenes Python's handler in C only
//! makes a note of the signal, and the main thread calls the function later. Here that
//! is in the open: signal-hook's handler makes the note, and `main` reads it and calls.

use nix::sys::signal::Signal;
use signal_hook::iterator::Signals;
use tutorial::Result;

// Python's second argument, the frame that was interrupted, has no counterpart:
// nothing is interrupted but the wait.
fn my_handler(signum: i32) {
    println!("I received:  {signum}");
}

fn main() -> Result<()> {
    let mut signals = Signals::new([Signal::SIGTSTP as i32])?;
    // signal.pause(). A signal that came since the line above is not lost here; with
    // the system's `pause` it would be, and the program would wait for another one.
    if let Some(signum) = signals.forever().next() {
        my_handler(signum);
    }
    println!("End of Signal Demo");
    Ok(())
}
