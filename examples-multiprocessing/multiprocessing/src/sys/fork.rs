//! Forking, and what a forked child must undo before anything else.
#![allow(
    unsafe_code,
    reason = "fork and sigaction are unsafe: their caller answers for what runs after"
)]

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{fs, ptr, thread};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{self, ForkResult, Pid, getpid};

use super::descriptor::{above_standard, remedy};
use super::{exit, numbers, signals};

/// Which of the two processes this is.
pub(crate) enum Side {
    /// The one that forked, with its child's id.
    Parent(Pid),
    /// The new one.
    Child,
}

/// What SIGINT does to a forked child, from its first moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OnInterrupt {
    /// What it does by default: it ends the child, if the parent did not ignore it.
    #[default]
    Default,
    /// Nothing.
    Survive,
}

/// Why there is no child.
#[derive(Debug)]
pub(crate) enum Refused {
    /// This many other threads run. The child would have none of them, but all the locks
    /// that they hold.
    Threads(u64),
    /// This process has numbers locked, and the child would have the guard, too.
    NumbersLocked,
    /// The system refused.
    System(io::Error),
}

/// Duplicates this process if the calling thread is its only one.
///
/// The child ends with its parent, by SIGKILL, even if the parent is killed itself. Its
/// signals do what they do by default, except those that were ignored, those that report
/// a fault of the program, and the real-time ones: a handler speaks for the parent, and
/// what it writes to (signal-hook's pipe) is shared with the parent. None is blocked, as
/// in a spawned child: one that the parent takes by `sigwait` would not end the child.
#[inline]
pub(crate) fn fork(on_interrupt: OnInterrupt) -> Result<Side, Refused> {
    match other_threads() {
        Ok(0) => {}
        Ok(others) => return Err(Refused::Threads(others)),
        Err(error) => return Err(Refused::System(error)),
    }
    // Now that this is the only thread, the answer cannot change.
    if numbers::locked() {
        return Err(Refused::NumbersLocked);
    }
    // The child's standard input is empty, since its parent may still read the real one.
    let nothing = nothing().map_err(Refused::System)?;
    let parent = getpid();
    // No handler of the parent's may run in the child before they are reset.
    let mask = SigSet::all()
        .thread_swap_mask(SigmaskHow::SIG_SETMASK)
        .map_err(|error| Refused::System(error.into()))?;
    // SAFETY: this is the only thread, so every lock that the child inherits is either
    // free or held by the thread that continues in the child.
    let forked = unsafe { unistd::fork() };
    if let Ok(ForkResult::Child) = forked {
        set_up_child(parent, nothing, on_interrupt);
        return Ok(Side::Child);
    }
    // It was this thread's own mask, so it cannot be refused.
    mask.thread_set_mask().ok();
    match forked {
        Ok(ForkResult::Child) => unreachable!("it has returned"),
        Ok(ForkResult::Parent { child }) => Ok(Side::Parent(child)),
        Err(error) => Err(Refused::System(error.into())),
    }
}

/// Has `handler` called in every forked child from now on, also in those that the program
/// forks by itself, before anything else there. Only the first handler counts. It must do
/// no more than store to atomics and call the system: a lock might be held by a thread that
/// is not there.
pub(crate) fn in_every_child(handler: fn()) {
    static HANDLER: OnceLock<fn()> = OnceLock::new();
    extern "C" fn in_child() {
        if let Some(handler) = HANDLER.get() {
            handler();
        }
    }
    HANDLER.get_or_init(|| {
        // SAFETY: the handler is a function of this program, and its caller answers for
        // what it does.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        handler
    });
}

/// `/dev/null`. It is opened for each child: a program may close descriptors that are not
/// its own, and the number of one that is kept could then be that of another file.
pub(crate) fn nothing() -> io::Result<OwnedFd> {
    let file =
        fs::File::open("/dev/null").map_err(|error| match remedy(&error) {
            Some(_) => error,
            None => io::Error::new(
                error.kind(),
                format!("/dev/null cannot be opened ({error}): mount /dev"),
            ),
        })?;
    above_standard(file)
}

/// How long a thread that was joined may take to vanish. `thread::scope` does not wait for
/// the last steps of its threads, and a busy machine may delay them.
const LAST_STEPS: Duration = Duration::from_millis(200);

/// The number of threads that this process has besides the calling one, without those
/// that end within [`LAST_STEPS`].
pub(crate) fn other_threads() -> io::Result<u64> {
    let counted = || {
        // The system refuses this if there are other threads, and may refuse it for other
        // reasons; otherwise it does nothing. It is faster than to ask /proc.
        let Err(refused) = unshare(CloneFlags::CLONE_THREAD) else {
            return Ok(0);
        };
        match (fs::metadata("/proc/self/task"), refused) {
            // A directory has two links, and a further one for each directory in it.
            (Ok(tasks), _) => Ok(tasks.nlink().saturating_sub(3)),
            (Err(error), _) if error.kind() != io::ErrorKind::NotFound => Err(error),
            (Err(_), Errno::EINVAL) => Ok(1),
            (Err(_), refused) => Err(io::Error::other(format!(
                "without /proc the threads cannot be counted: {refused}"
            ))),
        }
    };
    let mut others = counted()?;
    let deadline = Instant::now() + LAST_STEPS;
    while others > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_micros(100));
        others = counted()?;
    }
    Ok(others)
}

/// What the child does first, while its signals are still blocked.
///
/// Its system calls are raw ones: a new process has to fault in every page of code that
/// it uses, and each of the C library's wrappers lies on a page of its own.
#[inline]
fn set_up_child(parent: Pid, nothing: OwnedFd, on_interrupt: OnInterrupt) {
    for signal in (1..=LAST_SIGNAL).filter(|signal| !KEPT.contains(signal)) {
        reset_handler(signal);
    }
    if on_interrupt == OnInterrupt::Survive {
        // It cannot fail: the signal has a number that exists.
        signals::survive(Signal::SIGINT).ok();
    }
    // SAFETY: takes numbers and touches no memory of this process.
    let bound = unsafe {
        libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL)
    };
    // SAFETY: as above.
    let parent_now = unsafe { libc::syscall(libc::SYS_getppid) };
    // The signal comes when the forking thread ends, which is the parent's only one. If
    // the parent has ended already, it never comes. A parent in another namespace of
    // process ids has the number 0 here.
    let orphaned = parent_now != i64::from(parent.as_raw()) && parent_now != 0;
    if bound != 0 || orphaned {
        exit::exit_now(1);
    }
    // The drop would call the C library's wrapper.
    let nothing = nothing.into_raw_fd();
    // SAFETY: replaces standard input, which nobody owns, and touches no memory. It
    // cannot fail: both descriptors are in range, and the first is open.
    unsafe { libc::syscall(libc::SYS_dup3, nothing, 0, NO_FLAGS) };
    for fd in [1, 2] {
        // SAFETY: takes numbers and touches no memory of this process.
        let open = unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_GETFD) };
        if open < 0 {
            // A descriptor that the child opens would pass for its output or errors.
            // SAFETY: as for standard input; this one is closed.
            unsafe { libc::syscall(libc::SYS_dup3, nothing, fd, NO_FLAGS) };
        }
    }
    // SAFETY: it was this function's own, and is not used after this.
    unsafe { libc::syscall(libc::SYS_close, nothing) };
    let no_signal: [u8; MASK_SIZE] = [0; MASK_SIZE];
    let no_answer = ptr::null_mut::<libc::sigset_t>();
    // SAFETY: the mask is as long as the system reads.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const no_signal,
            no_answer,
            MASK_SIZE,
        )
    };
}

const NO_FLAGS: libc::c_int = 0;

/// The length in bytes of the kernel's set of signals.
const MASK_SIZE: usize = 8;

/// The last of the signals that the system itself sends. Those after it, the real-time
/// signals, are sent only by programs that know what they mean to this process, and to
/// reset them too would double the cost of all this.
const LAST_SIGNAL: libc::c_int = 31;

/// Signals whose handlers stay: they report a fault of the program (Rust's own reports
/// that a stack overflowed) and touch nothing that is shared. The last two cannot have
/// one.
const KEPT: [libc::c_int; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGKILL,
    libc::SIGSTOP,
];

/// Gives a signal that has a handler its default action.
fn reset_handler(signal: libc::c_int) {
    /// The kernel's `struct sigaction`: the handler, then at most four words more.
    type Action = [usize; 5];
    let mut action: Action = [libc::SIG_DFL; 5];
    let none = ptr::null::<Action>();
    // SAFETY: `action` is a place for the answer and no shorter than it; the null
    // pointer asks for no change.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            none,
            &raw mut action,
            MASK_SIZE,
        )
    };
    if action[0] != libc::SIG_DFL && action[0] != libc::SIG_IGN {
        let default: Action = [libc::SIG_DFL; 5];
        // SAFETY: `default` is as long as the system reads, and the default action
        // needs nothing of this program.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &raw const default,
                none,
                MASK_SIZE,
            )
        };
    }
}
