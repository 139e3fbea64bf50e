//! Forking, and what a forked child must undo before anything else.
#![allow(
    unsafe_code,
    reason = "fork and sigaction are unsafe: who calls them answers for what runs after"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};
use std::{fs, ptr, thread};

use nix::sys::prctl;
use nix::sys::signal::{self, SigSet, SigmaskHow, Signal};
use nix::sys::wait;
use nix::unistd::{self, ForkResult, Pid, getpid, getppid};

use super::exit;

/// Which of the two processes this is.
pub(crate) enum Side {
    /// The one that forked, with its child's id.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Why there is no child.
#[derive(Debug)]
pub(crate) enum Refused {
    /// This many other threads run, and the child would have none of them, but
    /// all the locks that they hold.
    Threads(u64),
    /// The system has no room for one process more, or is not Linux enough.
    System(io::Error),
}

/// Duplicates this process if the calling thread is its only one.
///
/// The child ends with its parent, by SIGKILL, even where that is killed itself. Its
/// signals do what they do by default, those apart that were ignored or that report
/// a fault of the program's own: a handler speaks for the parent, and what it writes
/// to (signal-hook's pipe) is shared with the parent.
pub(crate) fn fork() -> Result<Side, Refused> {
    match other_threads() {
        Ok(0) => {}
        Ok(others) => return Err(Refused::Threads(others)),
        Err(error) => return Err(Refused::System(error)),
    }
    let parent = getpid();
    // No handler of the parent's may run in the child before they are reset.
    let mask = SigSet::all()
        .thread_swap_mask(SigmaskHow::SIG_SETMASK)
        .map_err(|error| Refused::System(error.into()))?;
    // SAFETY: this is the only thread, so every lock that the child inherits is
    // either free or held by the thread that goes on in it.
    let forked = unsafe { unistd::fork() };
    if let Ok(ForkResult::Child) = forked {
        reset_handlers();
        // The request is good for the end of the forking thread, which is the parent's
        // only one. It comes too late where the parent is gone already.
        if prctl::set_pdeathsig(Signal::SIGKILL).is_err() || getppid() != parent {
            exit::exit_now(1);
        }
    }
    // It was this thread's own, so it cannot be refused.
    let _restored = mask.thread_set_mask();
    match forked {
        Ok(ForkResult::Child) => Ok(Side::Child),
        Ok(ForkResult::Parent { child }) => Ok(Side::Parent(child)),
        Err(error) => Err(Refused::System(error.into())),
    }
}

/// Kills and reaps a child that nobody is to hear of.
pub(crate) fn undo(child: Pid) {
    // Neither can fail: it is our child, and nobody has waited for it.
    let _killed = signal::kill(child, Signal::SIGKILL);
    let _reaped = wait::waitpid(child, None);
}

/// Gives a child an empty standard input: its parent goes on to read the real one.
pub(crate) fn empty_stdin() -> io::Result<()> {
    let null = fs::File::open("/dev/null")?;
    Ok(unistd::dup2_stdin(null)?)
}

/// How long a thread that was joined may take to vanish. `thread::scope` does not wait
/// for the last steps of its threads, and a busy machine may delay them.
const LAST_STEPS: Duration = Duration::from_millis(200);

/// How many threads this process has besides the calling one, those not counted that
/// are about to end by themselves within [`LAST_STEPS`].
fn other_threads() -> io::Result<u64> {
    let counted = || -> io::Result<u64> {
        // A directory has two links, and one more for each directory in it.
        Ok(fs::metadata("/proc/self/task")?.nlink().saturating_sub(3))
    };
    let mut others = counted()?;
    let deadline = Instant::now() + LAST_STEPS;
    while others > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_micros(100));
        others = counted()?;
    }
    Ok(others)
}

/// Signals whose handlers stay: they tell what a fault of the program was (Rust's own
/// tells of a stack that overflowed) and touch nothing that is shared.
const FAULTS: [libc::c_int; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
];

fn reset_handlers() {
    for signal in (1..=libc::SIGRTMAX()).filter(|signal| !FAULTS.contains(signal)) {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the null pointer asks for no change, and `action` is a place for
        // the answer.
        if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } != 0
        {
            continue; // A number that the C library keeps for itself.
        }
        // SAFETY: all zero is a value of `sigaction`, and the call has filled it in.
        let mut action = unsafe { action.assume_init() };
        if action.sa_sigaction != libc::SIG_DFL
            && action.sa_sigaction != libc::SIG_IGN
        {
            action.sa_sigaction = libc::SIG_DFL;
            // SAFETY: the default action needs nothing of this program.
            unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
        }
    }
}
