//! Handles Ctrl+Z (or `kill -TSTP`) in the middle of its work.
//!
//! Listing V13, 《Python标准库（中）》二 §2 (prose). Python calls the handler between two
//! instructions of its interpreter. A compiled program says itself where its handler
//! may run: here between two pieces of work, so neither prints into the other's line.
//! `handle_while_working [PIECES]` works for longer or shorter than ten pieces.

use std::{env, process};

use nix::sys::signal::Signal;
use signal_hook::iterator::Signals;
use tutorial::{Result, sleep};

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
        eprintln!("PIECES must be a whole number such as 10, not {pieces}.");
        process::exit(2)
    };

    let mut signals = Signals::new([Signal::SIGTSTP as i32])?;
    for piece in 0..pieces {
        work(piece);
        // Once for each signal that came, though it came twice: so it is in Python.
        signals.pending().for_each(my_handler);
    }
    println!("End of Signal Demo");
    Ok(())
}
