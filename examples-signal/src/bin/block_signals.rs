//! Blocks two signals, shows which are pending, waits for one, unblocks the other.
//!
//! Listing V16, 《Python标准库（中）》4、发送信号 (prose). The text dates signal blocking to
//! Python 3.4; it came with 3.3. The mask belongs to the calling thread and is
//! inherited by the threads that it starts: to block a signal in all of them, block
//! it before they start.
#![expect(unsafe_code, reason = "nix has no sigpending")]

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use signal_hook::iterator::Signals;
use tutorial::Result;

fn my_handler(signum: i32) {
    println!("I received:  {signum}");
}

// signal.sigpending()
fn sigpending() -> nix::Result<SigSet> {
    let mut pending = *SigSet::empty().as_ref();
    // SAFETY: the pointer is valid for writes, which is all that sigpending needs.
    let result = unsafe { libc::sigpending(&raw mut pending) };
    Errno::result(result)?;
    // SAFETY: it was an initialised set, and sigpending has written a set to it.
    Ok(unsafe { SigSet::from_sigset_t_unchecked(pending) })
}

fn main() -> Result<()> {
    let mut signals = Signals::new([Signal::SIGUSR2 as i32])?;

    // signal.pthread_sigmask(signal.SIG_BLOCK, both)
    let both = SigSet::from_iter([Signal::SIGUSR1, Signal::SIGUSR2]);
    both.thread_block()?;
    kill(Pid::this(), Signal::SIGUSR1)?;
    kill(Pid::this(), Signal::SIGUSR2)?;
    println!("pending: {:?}", Vec::from_iter(&sigpending()?));

    // signal.sigwait({signal.SIGUSR1}) takes the signal, so no handler sees it.
    let received = SigSet::from(Signal::SIGUSR1).wait()?;
    println!("sigwait: {received:?}");
    println!("pending: {:?}", Vec::from_iter(&sigpending()?));

    // signal.pthread_sigmask(signal.SIG_UNBLOCK, both) delivers what is pending.
    assert_eq!(signals.pending().count(), 0, "SIGUSR2 is blocked");
    both.thread_unblock()?;
    signals.pending().for_each(my_handler);
    println!("pending: {:?}", Vec::from_iter(&sigpending()?));
    Ok(())
}
