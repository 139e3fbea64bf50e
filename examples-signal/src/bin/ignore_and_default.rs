//! `SIG_IGN` lets a signal pass by; `SIG_DFL` does what the system does by default.
//!
//! Listing V12, 《Python标准库（中）》2、预设信号处理函数 (prose). The program ends by the signal,
//! which is what SIGTERM does by default. To set what a signal does is `unsafe` in
//! Rust, because most functions must not run as a handler.
#![expect(unsafe_code, reason = "what a signal does is what this listing sets")]

use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use tutorial::Result;

fn main() -> Result<()> {
    // SAFETY: SIG_IGN is not a function, so none of ours runs as a handler.
    unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }?;
    kill(Pid::this(), Signal::SIGTERM)?;
    println!("SIG_IGN: SIGTERM passed by");

    // SAFETY: SIG_DFL is not a function, so none of ours runs as a handler.
    unsafe { signal(Signal::SIGTERM, SigHandler::SigDfl) }?;
    println!("SIG_DFL: SIGTERM ends the program");
    kill(Pid::this(), Signal::SIGTERM)?;
    unreachable!("the program has ended");
}
