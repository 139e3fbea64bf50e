//! Taking signals at a time of one's own choice instead of being interrupted: see
//! [sigtimedwait(2)](https://man7.org/linux/man-pages/man2/sigtimedwait.2.html).
#![allow(
    unsafe_code,
    reason = "nix has no sigtimedwait, and leaves it to the caller to set an action"
)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::getpid;

/// Gives a signal its default action. A process may find a signal ignored, since that is
/// inherited.
pub(crate) fn set_default(signal: Signal) -> io::Result<()> {
    // SAFETY: the default action runs nothing of this program's.
    unsafe { signal::signal(signal, SigHandler::SigDfl) }?;
    Ok(())
}

/// Ignores a signal, and so do the programs that this process starts.
#[cfg(feature = "managers")]
pub(crate) fn ignore(signal: Signal) -> io::Result<()> {
    // SAFETY: nothing of this program's is run.
    unsafe { signal::signal(signal, SigHandler::SigIgn) }?;
    Ok(())
}

/// Has a signal that would end this process do nothing instead. If it has another action
/// than the default one, that stays.
///
/// It is not ignored, which is inherited: a program that this process starts, and a fork
/// of it, has the default action again.
pub(crate) fn survive(signal: Signal) -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    let handler = SigHandler::Handler(nothing);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler runs nothing at all.
    let before = unsafe { signal::sigaction(signal, &action) }?;
    if !matches!(before.handler(), SigHandler::SigDfl) {
        // SAFETY: the action was in place before.
        unsafe { signal::sigaction(signal, &before) }?;
    }
    Ok(())
}

/// Lets SIGINT end this process if it is the first of its namespace of process ids, as
/// the program of a container is: the kernel keeps signals that have no handler from it.
/// The others of the namespace end with it. Changes nothing in any other process, nor if
/// SIGINT has a handler or is ignored.
pub(crate) fn let_interrupt_end_the_first_process() -> io::Result<()> {
    extern "C" fn end(signal: libc::c_int) {
        // A handler that was registered later may call this one first: then it decides,
        // and this one does nothing.
        if handler_of(signal) == Some(end as *const () as usize) {
            // SAFETY: takes a number and touches no memory of this process.
            unsafe { libc::_exit(128 + signal) };
        }
    }
    if getpid().as_raw() != 1 || handler_of(libc::SIGINT) != Some(libc::SIG_DFL) {
        return Ok(());
    }
    // SAFETY: the handler calls nothing but the system.
    unsafe { signal::signal(Signal::SIGINT, SigHandler::Handler(end)) }?;
    Ok(())
}

/// Whether a signal calls a function of this program.
pub(crate) fn has_handler(signal: Signal) -> bool {
    let handler = handler_of(signal as libc::c_int);
    !matches!(handler, None | Some(libc::SIG_DFL | libc::SIG_IGN))
}

/// What a signal is handled by, as the system sees it; may be called in a handler.
fn handler_of(signal: libc::c_int) -> Option<libc::sighandler_t> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: `action` is a place for the answer, and the null pointer asks for no change.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: the system has filled it in.
    (asked == 0).then(|| unsafe { action.assume_init() }.sa_sigaction)
}

/// Whether the calling thread blocks any signal, the real-time ones included, which nix does
/// not see.
pub(crate) fn is_any_blocked() -> bool {
    /// The kernel's set of signals.
    type Set = u64;
    let mut blocked = Set::MAX;
    // SAFETY: `blocked` is a place for the answer, as long as it says, and the null pointer
    // asks for no change.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_BLOCK,
            ptr::null::<Set>(),
            &raw mut blocked,
            size_of::<Set>(),
        )
    };
    blocked != 0
}

/// Signals that are blocked until they are taken by [`wait`](Self::wait). None that comes
/// after this was made is lost between a check and a wait.
pub(crate) struct Signals {
    set: SigSet,
    /// What was blocked before.
    #[cfg(feature = "broker")]
    before: SigSet,
}

impl Signals {
    /// Blocks these signals, in the calling thread, but not in the processes that it starts.
    pub(crate) fn hold(signals: &[Signal]) -> io::Result<Self> {
        let set: SigSet = signals.iter().copied().collect();
        #[cfg(feature = "broker")]
        let before = SigSet::thread_get_mask()?;
        set.thread_block()?;
        Ok(Self {
            set,
            #[cfg(feature = "broker")]
            before,
        })
    }

    /// Unblocks them again.
    #[cfg(feature = "broker")]
    pub(crate) fn let_go(&self) -> io::Result<()> {
        Ok(self.before.thread_set_mask()?)
    }

    /// Takes this one of them if it has come, and leaves the others.
    pub(crate) fn has_come(&self, signal: Signal) -> bool {
        self.set.contains(signal)
            && wait_for(&signal.into(), Some(Duration::ZERO)) == Some(signal)
    }

    /// Waits for the next of them, at most this long; `None` if none came, or another
    /// signal interrupted the wait.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Option<Signal> {
        wait_for(&self.set, timeout)
    }
}

/// Takes one of these signals, which are blocked, waiting at most this long.
fn wait_for(set: &SigSet, timeout: Option<Duration>) -> Option<Signal> {
    let timeout = timeout.map(|timeout| {
        // SAFETY: zero bytes make a timespec, whatever padding it has.
        let mut time: libc::timespec =
            unsafe { MaybeUninit::zeroed().assume_init() };
        time.tv_sec =
            libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX);
        time.tv_nsec = timeout.subsec_nanos().into();
        time
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the set and the time outlive the call, which writes to neither, and
    // the null pointer asks for no details of the signal.
    let got = unsafe { libc::sigtimedwait(set.as_ref(), ptr::null_mut(), timeout) };
    Errno::result(got)
        .ok()
        .and_then(|signal| Signal::try_from(signal).ok())
}
