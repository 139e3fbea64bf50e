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
use std::{fs, thread};

use nix::errno::Errno;
use nix::libc::{dev_t, ino_t};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::stat::fstat;
use nix::unistd::{self, ForkResult, Pid, getpid};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::fcntl_getfd;
use rustix::process::{getppid, set_parent_process_death_signal};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdout};

use super::descriptor::{above_standard, duplicate, remedy};
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
    let signals = SignalsAtFork::find(on_interrupt)
        .map_err(|error| Refused::System(error.into()))?;
    // SAFETY: this is the only thread, so every lock that the child inherits is either
    // free or held by the thread that continues in the child.
    let forked = unsafe { unistd::fork() };
    if let Ok(ForkResult::Child) = forked {
        set_up_child(parent, nothing, &signals);
        return Ok(Side::Child);
    }
    signals.restore();
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

/// `/dev/null`. To open it takes a noticeable part of a fork, so it is kept open. A
/// program may close descriptors that are not its own, and open other files, or this one but
/// not for reading: then it is opened for each child.
pub(crate) fn nothing() -> io::Result<OwnedFd> {
    static OPENED: OnceLock<(OwnedFd, (dev_t, ino_t))> = OnceLock::new();
    let file_of = |fd: &OwnedFd| fstat(fd).map(|file| (file.st_dev, file.st_ino));
    if let Some((kept, file)) = OPENED.get()
        && file_of(kept).is_ok_and(|now| now == *file)
        && fcntl_getfl(kept).is_ok_and(|mode| {
            mode & (OFlags::ACCMODE | OFlags::PATH) == OFlags::RDONLY
        })
        && let Ok(copy) = duplicate(kept)
    {
        return Ok(copy);
    }
    let file =
        fs::File::open("/dev/null").map_err(|error| match remedy(&error) {
            Some(_) => error,
            None => io::Error::new(
                error.kind(),
                format!("/dev/null cannot be opened ({error}): mount /dev"),
            ),
        })?;
    let opened = above_standard(file)?;
    // Without a descriptor to spare, the next child opens it again. If another thread was
    // faster, its own is as good.
    if OPENED.get().is_none()
        && let (Ok(kept), Ok(file)) = (duplicate(&opened), file_of(&opened))
    {
        OPENED.set((kept, file)).ok();
    }
    Ok(opened)
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

/// What the child does first.
///
/// Its system calls are rustix's, which are not the C library's: a new process has to
/// map every page of code that it uses.
#[inline]
fn set_up_child(parent: Pid, nothing: OwnedFd, signals: &SignalsAtFork) {
    let bound = set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    // The signal comes when the forking thread ends, which is the parent's only one. If
    // the parent has ended already, it never comes. A parent in another namespace of
    // process ids has no number here.
    let orphaned = getppid().is_some_and(|now| now.as_raw_pid() != parent.as_raw());
    if bound.is_err() || orphaned {
        exit::exit_now(1);
    }
    // None of these can fail: the descriptors are in range, and `nothing` is open.
    dup2_stdin(&nothing).ok();
    // A descriptor that the child opens would pass for its output or errors.
    if fcntl_getfd(stdout()).is_err() {
        dup2_stdout(&nothing).ok();
    }
    if fcntl_getfd(stderr()).is_err() {
        dup2_stderr(&nothing).ok();
    }
    // The drop would call the C library's wrapper.
    // SAFETY: it was this function's own, and is not used after this.
    unsafe { rustix::io::close(nothing.into_raw_fd()) };
    // Last, since it unblocks the signals.
    if !signals.default {
        signals.undo();
    }
}

/// What the signals of a process do that is about to fork, and what its child has to undo
/// of that.
struct SignalsAtFork {
    /// Those with a handler that the child is not to have.
    handled: Vec<Signal>,
    on_interrupt: OnInterrupt,
    /// What was blocked before, if all signals are blocked during the fork: when some are to
    /// be changed in the child, no handler of the parent's may run there before.
    before: Option<SigSet>,
    /// Whether there is nothing to undo. The parent finds that out, which has mapped the
    /// code for it.
    default: bool,
}

impl SignalsAtFork {
    /// Finds out, and blocks the signals if need be.
    fn find(on_interrupt: OnInterrupt) -> nix::Result<Self> {
        let handled = Signal::iterator().filter(|signal| {
            !KEPT.contains(signal) && signals::has_handler(*signal)
        });
        let handled: Vec<_> = handled.collect();
        let change = !handled.is_empty() || on_interrupt != OnInterrupt::Default;
        let all = SigSet::all();
        let before = change.then(|| all.thread_swap_mask(SigmaskHow::SIG_SETMASK));
        Ok(Self {
            handled,
            on_interrupt,
            before: before.transpose()?,
            default: !signals::is_any_blocked(),
        })
    }

    /// In the parent, after the fork.
    fn restore(&self) {
        if let Some(before) = &self.before {
            // It was this thread's own mask, so it cannot be refused.
            before.thread_set_mask().ok();
        }
    }

    /// In the child. None of this can fail: the signals have numbers that exist.
    fn undo(&self) {
        for signal in &self.handled {
            signals::set_default(*signal).ok();
        }
        if self.on_interrupt == OnInterrupt::Survive {
            signals::survive(Signal::SIGINT).ok();
        }
        SigSet::empty().thread_set_mask().ok();
    }
}

/// Signals whose handlers stay: they report a fault of the program (Rust's own reports
/// that a stack overflowed) and touch nothing that is shared. The last two cannot have
/// one.
const KEPT: [Signal; 7] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGTRAP,
    Signal::SIGKILL,
    Signal::SIGSTOP,
];
