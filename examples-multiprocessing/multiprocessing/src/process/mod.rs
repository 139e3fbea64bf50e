//! Processes: starting, waiting, ending.

mod child;
mod children;
mod error;
mod handle;
mod identity;
mod spawn;

use std::any::Any;
use std::io::{self, Write};
use std::num::NonZero;
use std::os::fd::BorrowedFd;
use std::panic::{self, AssertUnwindSafe};
use std::process::{ExitCode, Termination};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;
use std::{fmt, mem, thread};

use nix::unistd::getpid;

use child::Child;
pub use error::ProcessError;
pub use handle::{
    ProcessHandle, active_children, current_process, parent_process, set_authkey,
};
pub use identity::AuthKey;
use identity::Identity;
use serde::Serialize;
use serde::de::DeserializeOwned;
use spawn::SpawnRequest;
pub use spawn::freeze_support;

use crate::sys::exit;
use crate::sys::fork::{self, OnInterrupt, Refused, Side};
use crate::sys::signals;
use crate::sys::spawn::Spawned;
use crate::{registry, wait};

/// A function that runs, or is to run, in a process of its own: Python's
/// [`multiprocessing.Process`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Process).
///
/// ```no_run
/// // Not run: a test has threads, and a process that has threads must not fork.
/// use multiprocessing::Process;
///
/// fn f(name: &str) {
///     println!("hello {name}");
/// }
///
/// fn main() -> Result<(), multiprocessing::ProcessError> {
///     let mut p = Process::new(|| f("bob"));
///     p.start()?;
///     p.join()
/// }
/// ```
///
/// The child is a copy of this process from the moment of [`start`](Self::start): the
/// function may borrow whatever it likes, and what it changes, it changes in its own
/// copy. The parent's copy of the function is dropped by `start`, with what was moved
/// into it.
///
/// The function may return whatever `main` may return. It becomes the exit code. A panic
/// is reported in one line on standard error, `Process-1: message (place)`, and makes the
/// exit code 1. The child's standard input is empty.
///
/// # At the end
///
/// A process that started others ends its daemons and waits for its other children when
/// `main` or the child's function returns, or [`std::process::exit`] is called. When a
/// signal ends it, SIGKILL included, its children are killed. Dropping a `Process` does
/// neither.
///
/// # Limitations
///
/// A process that calls `abort`, `_exit` or `exec` does not do that: its children are
/// killed (by `abort` and `_exit`) or continue as the new program's (`exec`). A forked
/// child that changes its user or group id is no longer killed with its parent. A fork that
/// the program makes by itself is not counted among the children. What the parent has read
/// ahead of its standard input is copied into a forked child like everything else, and is
/// read there a second time. A generator of random numbers that the program has used is
/// copied as well, and gives both processes the same numbers.
///
/// In a forked child the signals that the parent handles have their default actions again,
/// but for the real-time ones and those that report a fault. signal-hook, which installs its
/// handler once for each signal, does not notice that: a signal that the parent has
/// registered with it cannot be registered again in the child. Start such a child by
/// spawn, or see the other [ways round it](crate::graceful_end#a-handler-in-a-forked-child).
pub struct Process<'a> {
    identity: Box<Identity>,
    /// Of a fork.
    on_interrupt: OnInterrupt,
    state: State<'a>,
}

enum State<'a> {
    New(Target<'a>),
    Started(ProcessHandle),
    Closed,
}

enum Target<'a> {
    Fork(Box<dyn FnOnce() -> ExitCode + 'a>),
    Spawn(Box<dyn Fn() -> Result<SpawnRequest, ProcessError> + 'a>),
}

impl<'a> Process<'a> {
    /// A process that is to run this function, with the default name and a daemon if
    /// the calling process is one.
    #[must_use]
    pub fn new<F, R>(function: F) -> Self
    where
        F: FnOnce() -> R + 'a,
        R: Termination,
    {
        Self::builder().target(function)
    }

    /// A process that is to run `function(argument)` in a fresh copy of this program,
    /// for the start method *spawn*. It can be started while other threads run, and
    /// takes longer to start than a fork.
    ///
    /// The function is one without a state: a `fn` item, or a closure that captures
    /// nothing. All that it gets is the argument, which is serialised when the process
    /// is started: anything of serde's, several values as a tuple, and the handles of
    /// this library (locks, queues, pipes, shared values), which stay connected. The
    /// fresh copy finds the function by [`freeze_support`], which `main` must begin
    /// with. Everything else is as with [`new`](Self::new).
    ///
    /// ```no_run
    /// // Not run: the main of a test does not begin with freeze_support.
    /// use multiprocessing::{Process, ProcessError, freeze_support};
    ///
    /// fn f((name, times): (String, u32)) {
    ///     (0..times).for_each(|_| println!("hello {name}"));
    /// }
    ///
    /// fn main() -> Result<(), ProcessError> {
    ///     freeze_support();
    ///     let mut p = Process::spawned(f, ("bob".to_string(), 2));
    ///     p.start()?;
    ///     p.join()
    /// }
    /// ```
    #[must_use]
    pub fn spawned<F, A, R>(function: F, argument: A) -> Self
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned + 'a,
        R: Termination,
    {
        Self::builder().spawn_target(function, argument)
    }

    /// For giving it a name, or making it a daemon.
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder::default()
    }

    /// Starts the process.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`](ProcessError::AlreadyStarted);
    /// [`DaemonHasNoChildren`](ProcessError::DaemonHasNoChildren) in a daemon;
    /// [`ThreadsRunning`](ProcessError::ThreadsRunning) if the calling thread is not
    /// the only one of its process (it can be tried again once they have ended);
    /// [`NumbersLocked`](ProcessError::NumbersLocked) if it holds the lock of a
    /// [`Value`](crate::Value) or an [`Array`](crate::Array), and the start is a fork;
    /// or the system's refusal.
    pub fn start(&mut self) -> Result<(), ProcessError> {
        let parent = current_process();
        if parent.daemon() {
            return Err(ProcessError::DaemonHasNoChildren);
        }
        let target = match mem::replace(&mut self.state, State::Closed) {
            State::New(target) => target,
            State::Started(handle) => {
                self.state = State::Started(handle);
                return Err(ProcessError::AlreadyStarted);
            }
            State::Closed => return Err(ProcessError::Closed),
        };
        self.identity.parent = Some((parent.name().into(), getpid()));
        prepare();
        wait::decide_whether_to_spin();
        children::reap_sometimes();
        match self.launch(target) {
            Ok(child) => {
                let child = Arc::new(child);
                children::add(Arc::clone(&child));
                self.state = State::Started(ProcessHandle::of(child));
                Ok(())
            }
            Err((target, error)) => {
                self.state = State::New(target);
                Err(error)
            }
        }
    }

    /// Starts the target, or returns it with the reason why it could not be started.
    fn launch(
        &self,
        target: Target<'a>,
    ) -> Result<Child, (Target<'a>, ProcessError)> {
        match target {
            Target::Fork(function) => self
                .fork(function)
                .map_err(|(function, error)| (Target::Fork(function), error)),
            Target::Spawn(pack) => pack()
                .and_then(|request| request.send(&self.identity))
                .map(|Spawned { pid, lifeline }| {
                    Child::new(pid, Identity::clone(&self.identity), Some(lifeline))
                })
                .map_err(|error| (Target::Spawn(pack), error)),
        }
    }

    fn fork<F: FnOnce() -> ExitCode>(
        &self,
        function: F,
    ) -> Result<Child, (F, ProcessError)> {
        // Everything that can be done before the fork is done here: whatever the child
        // writes to, it has to copy first.
        let identity = self.identity.clone();
        // Or both processes print what is in the buffer. What cannot be written now
        // is tried again, and reported, when the parent writes next.
        io::stdout().flush().ok();
        match fork::fork(self.on_interrupt) {
            Ok(Side::Child) => run(identity, function),
            Ok(Side::Parent(pid)) => Ok(Child::new(pid, *identity, None)),
            Err(refused) => {
                let error = match refused {
                    Refused::Threads(others) => ProcessError::ThreadsRunning(others),
                    Refused::NumbersLocked => ProcessError::NumbersLocked,
                    Refused::System(source) => {
                        ProcessError::system("fork this process")(source)
                    }
                };
                Err((function, error))
            }
        }
    }

    /// The started process, as a value of its own.
    ///
    /// # Errors
    ///
    /// [`NotStarted`](ProcessError::NotStarted) or [`Closed`](ProcessError::Closed).
    pub fn handle(&self) -> Result<&ProcessHandle, ProcessError> {
        match &self.state {
            State::New(_) => Err(ProcessError::NotStarted),
            State::Started(handle) => Ok(handle),
            State::Closed => Err(ProcessError::Closed),
        }
    }

    /// Waits until the process has ended. See [`ProcessHandle::join`].
    ///
    /// # Errors
    ///
    /// Those of [`handle`](Self::handle), and those of [`ProcessHandle::join`].
    pub fn join(&self) -> Result<(), ProcessError> {
        self.handle()?.join()
    }

    /// Waits until the process has ended, but no longer than this. Returns whether it
    /// has.
    ///
    /// # Errors
    ///
    /// Those of [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, ProcessError> {
        self.handle()?.join_timeout(timeout)
    }

    /// Asks the process to end. See [`ProcessHandle::terminate`].
    ///
    /// # Errors
    ///
    /// Those of [`handle`](Self::handle), and those of [`ProcessHandle::terminate`].
    pub fn terminate(&self) -> Result<(), ProcessError> {
        self.handle()?.terminate()
    }

    /// Kills the process. See [`ProcessHandle::kill`].
    ///
    /// # Errors
    ///
    /// Those of [`terminate`](Self::terminate).
    pub fn kill(&self) -> Result<(), ProcessError> {
        self.handle()?.kill()
    }

    /// A descriptor that polls readable once the process has ended. See
    /// [`ProcessHandle::sentinel`].
    ///
    /// # Errors
    ///
    /// Those of [`handle`](Self::handle), and those of [`ProcessHandle::sentinel`].
    pub fn sentinel(&self) -> Result<BorrowedFd<'_>, ProcessError> {
        self.handle()?.sentinel()
    }

    /// Whether it was started and has not ended yet.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.handle().is_ok_and(ProcessHandle::is_alive)
    }

    /// How it ended; `None` before. See [`ProcessHandle::exitcode`].
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        self.handle().ok()?.exitcode()
    }

    /// Its process id; `None` before it was started.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.handle().ok().map(ProcessHandle::pid)
    }

    /// The same as [`pid`](Self::pid), by the name that Python's threads share.
    #[must_use]
    pub fn ident(&self) -> Option<i32> {
        self.pid()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Whether it is ended with its parent instead of waited for.
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.identity.daemon
    }

    /// Says whether it is ended with its parent instead of waited for.
    ///
    /// # Errors
    ///
    /// [`DaemonAfterStart`](ProcessError::DaemonAfterStart) once it was started.
    pub fn set_daemon(&mut self, daemon: bool) -> Result<(), ProcessError> {
        if !matches!(self.state, State::New(_)) {
            return Err(ProcessError::DaemonAfterStart);
        }
        self.identity.daemon = daemon;
        Ok(())
    }

    /// The key that it shares with its relatives.
    #[must_use]
    pub fn authkey(&self) -> &AuthKey {
        &self.identity.authkey
    }

    /// Closes the descriptor that the handle holds. Dropping the `Process` does the same.
    ///
    /// # Errors
    ///
    /// [`StillRunning`](ProcessError::StillRunning) before the process has ended.
    pub fn close(&mut self) -> Result<(), ProcessError> {
        if self.is_alive() {
            return Err(ProcessError::StillRunning);
        }
        if let State::Started(handle) = &self.state {
            handle.join()?;
        }
        self.state = State::Closed;
        Ok(())
    }
}

impl fmt::Debug for Process<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .field("daemon", &self.daemon())
            .field("exitcode", &self.exitcode())
            .finish_non_exhaustive()
    }
}

/// A process that has no function yet: the keyword arguments of Python's `Process`.
///
/// ```
/// use multiprocessing::Process;
///
/// let p = Process::builder().name("Jack").daemon(true).target(|| println!("hello"));
/// assert_eq!((p.name(), p.daemon()), ("Jack", true));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "it becomes a process by `target`"]
pub struct ProcessBuilder {
    name: Option<String>,
    daemon: Option<bool>,
    on_interrupt: OnInterrupt,
}

impl ProcessBuilder {
    /// Its name, instead of `Process-` and its number.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether it is ended with its parent instead of waited for. By default this is
    /// inherited.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Has Ctrl+C do nothing to it, if it is forked.
    pub(crate) fn survives_interrupt(mut self) -> Self {
        self.on_interrupt = OnInterrupt::Survive;
        self
    }

    /// What it is to run. See [`Process::new`].
    #[must_use]
    pub fn target<'a, F, R>(self, function: F) -> Process<'a>
    where
        F: FnOnce() -> R + 'a,
        R: Termination,
    {
        self.process(Target::Fork(Box::new(|| function().report())))
    }

    /// What it is to run in a fresh copy of this program. See [`Process::spawned`].
    #[must_use]
    pub fn spawn_target<'a, F, A, R>(self, function: F, argument: A) -> Process<'a>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned + 'a,
        R: Termination,
    {
        self.process(Target::Spawn(Box::new(move || {
            SpawnRequest::pack(&function, &argument)
        })))
    }

    fn process(self, target: Target<'_>) -> Process<'_> {
        Process {
            identity: Box::new(identity::lock().child(self.name, self.daemon)),
            on_interrupt: self.on_interrupt,
            state: State::New(target),
        }
    }
}

/// What must be done once, before the first process is started.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        exit::at_exit(end);
        // Refused, it leaves Ctrl+C without effect, which is the system's default there.
        signals::let_interrupt_end_the_first_process().ok();
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| match identity::name_of_child() {
            Some(name) => report_panic(&name, info),
            None => others(info),
        }));
    });
}

/// What a process does at its exit, with this code.
fn end(code: Option<i32>) {
    if code.is_none_or(|code| code == 0) {
        registry::end_in_good_order();
    }
    children::settle();
}

/// Runs a forked child to its end. It never returns into the frames that were copied from
/// its parent.
fn run(identity: Box<Identity>, function: impl FnOnce() -> ExitCode) -> ! {
    let life = || {
        children::remove_all();
        identity::assume(identity);
        run_to_the_end(function)
    };
    let code = panic::catch_unwind(AssertUnwindSafe(life));
    exit::exit_now(code.unwrap_or(1))
}

/// Runs a child's function and everything that comes after it except the exit itself, and
/// returns the exit code.
fn run_to_the_end(function: impl FnOnce() -> ExitCode) -> i32 {
    let code = match panic::catch_unwind(AssertUnwindSafe(function)) {
        Ok(code) => number(code),
        Err(panic) => {
            // Its destructor might panic as well.
            mem::forget(panic);
            1
        }
    };
    if let Some(handler) = AT_END.get() {
        handler();
    }
    end(Some(code));
    // Nobody is left who could handle a failure.
    io::stdout().flush().ok();
    code
}

static AT_END: OnceLock<fn()> = OnceLock::new();

/// Has `handler` called when this process, a child, has run its function: its copies of
/// its parent's variables are never dropped. Only the first handler counts.
#[cfg(feature = "managers")]
pub(crate) fn at_end_of_child(handler: fn()) {
    // A second call brings the same handler.
    AT_END.set(handler).ok();
}

/// One line on standard error, in one piece even if several processes panic.
fn report_panic(name: &str, info: &panic::PanicHookInfo<'_>) {
    let message = message_of(info.payload());
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let line = format!("{name}: {message} ({place})\n");
    // Nobody is left who could handle a failure.
    io::stderr().write_all(line.as_bytes()).ok();
}

/// The text of a panic.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> &str {
    (panic.downcast_ref::<String>().map(String::as_str))
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic whose value is not a text")
}

/// The number in an exit code, which std does not reveal.
fn number(code: ExitCode) -> i32 {
    (0..=u8::MAX)
        .find(|&number| ExitCode::from(number) == code)
        .map_or(1, i32::from)
}

/// Whether another process lives that can have what this one shares: a child, or the
/// parent, without which this process would not live either.
pub(crate) fn has_living_relatives() -> bool {
    !children::active().is_empty() || parent_process().is_some()
}

/// Allows this process, a daemon, to have children: it ends them itself.
pub(crate) fn allow_children() {
    identity::lock().daemon = false;
}

/// The number of processors that this process may use: Python's
/// [`cpu_count`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.cpu_count),
/// which gives those of the whole machine.
///
/// ```
/// assert!(multiprocessing::cpu_count() >= 1);
/// ```
#[must_use]
pub fn cpu_count() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
