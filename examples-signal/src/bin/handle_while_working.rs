//! Handles Ctrl+Z (or `kill -TSTP`) in the middle of its work.
//!
//! Listing V13, 《Python标准库（中）》2、预设信号处理函数 (prose). Python calls the handler between
//! two instructions of its interpreter. A compiled program says itself where its
//! handler may run: here between two pieces of work, so that neither prints into the
//! other's line. `handle_while_working [PIECES]` does another number of pieces than
//! ten.

use std::env;

use nix::sys::signal::Signal;
use signal_hook::iterator::Signals;
use tutorial::{Failure, Result, sleep};

fn my_handler(signum: i32) {
    println!("I received:  {signum}");
}

fn work(piece: u64) {
    println!("working {piece}");
    sleep(1.0);
}

fn main() -> Result<()> {
    let pieces = env::args().nth(1).unwrap_or("10".into());
    let Ok(pieces) = pieces.parse() else {
        return Err(Failure::new(format!(
            "PIECES must be a whole number such as 10, not {pieces}."
        )));
    };

    let mut signals = Signals::new([Signal::SIGTSTP as i32])?;
    for piece in 0..pieces {
        work(piece);
        // Once for each signal, even if it came twice. It is so in Python, too.
        signals.pending().for_each(my_handler);
    }
    println!("End of Signal Demo");
    Ok(())
}
