//! A child process that is talked to, waited for and signalled while it runs.

use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::SubprocessError;
use crate::checked::returncode;
use crate::error::{cmd_of, command_not_started, failed};
use crate::exchange::{Exchange, Pipes};
use crate::wait::{Deadline, wait_until};

/// What a child wrote to its standard output and to its standard error; `None` for a
/// stream that is not a pipe.
pub type Captured<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// A child process: Python's
/// [`Popen`](https://docs.python.org/3/library/subprocess.html#popen-constructor). It
/// adds to [`Child`] what that lacks: [`communicate`](Self::communicate), waiting with
/// a time-out, and signals other than SIGKILL. What Python's `Popen` takes as
/// arguments, [`Command`] has as methods.
///
/// As with [`Child`], dropping it closes the pipes, but neither ends the child nor
/// waits for it. A child that is not waited for stays behind as a zombie until this
/// program ends.
///
/// ```
/// use subprocess::Popen;
/// use std::process::{Command, Stdio};
///
/// let mut upper = Command::new("tr");
/// upper.args(["a-z", "A-Z"]);
/// let mut child = Popen::new(upper.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
/// let (out, err) = child.communicate("vamei")?;
/// assert_eq!((out, err), (Some("VAMEI".as_bytes()), None));
/// assert_eq!(child.returncode(), Some(0));
/// # Ok::<(), subprocess::SubprocessError>(())
/// ```
#[derive(Debug)]
pub struct Popen {
    /// The writing end of the child's standard input, if that is a pipe.
    pub stdin: Option<ChildStdin>,
    /// The reading end of its standard output, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// The reading end of its standard error, if that is a pipe.
    pub stderr: Option<ChildStderr>,
    child: Child,
    /// The program and its arguments, for the errors.
    cmd: String,
    /// Known once the child is reaped. From then on its id may belong to another
    /// process, so no signal is sent to it any more.
    returncode: Option<i32>,
    /// What `communicate` has still to send and has received; `None` before its first
    /// call. It outlives a call that timed out, so that the next can continue.
    exchange: Option<Exchange>,
}

impl Popen {
    /// Starts the program.
    ///
    /// # Errors
    ///
    /// [`SubprocessError::NotStarted`], for instance if there is no such program.
    pub fn new(command: &mut Command) -> Result<Self, SubprocessError> {
        let child = command.spawn();
        let mut child = child.map_err(command_not_started(command))?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            cmd: cmd_of(command),
            returncode: None,
            exchange: None,
        })
    }

    /// The child's process id. Once the child has been waited for, the id may belong to
    /// another process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The return code as the last [`poll`](Self::poll), [`wait`](Self::wait) or
    /// [`communicate`](Self::communicate) found it: `None` if the child was still running
    /// then, negative for the signal that ended it.
    #[must_use]
    pub fn returncode(&self) -> Option<i32> {
        self.returncode
    }

    /// Checks whether the child has ended, without waiting:
    /// [`Popen.poll`](https://docs.python.org/3/library/subprocess.html#subprocess.Popen.poll).
    ///
    /// # Errors
    ///
    /// [`SubprocessError::Io`] if other code has reaped the child.
    ///
    /// ```
    /// use subprocess::Popen;
    /// use std::process::{Command, Stdio};
    ///
    /// let mut child = Popen::new(Command::new("cat").stdin(Stdio::piped()))?;
    /// assert_eq!(child.poll()?, None); // it waits for input
    /// child.terminate()?;
    /// child.wait()?;
    /// assert_eq!(child.poll()?, Some(-15));
    /// # Ok::<(), subprocess::SubprocessError>(())
    /// ```
    pub fn poll(&mut self) -> Result<Option<i32>, SubprocessError> {
        // `Child` remembers the status: it does not ask again about a child it reaped.
        let status = self.child.try_wait().map_err(failed(&self.cmd))?;
        self.returncode = status.map(returncode);
        Ok(self.returncode)
    }

    /// Waits for the child's end and returns its return code:
    /// [`Popen.wait`](https://docs.python.org/3/library/subprocess.html#subprocess.Popen.wait).
    ///
    /// It closes `stdin` first, as [`Child::wait`] does and Python does not: otherwise
    /// a child that reads to the end would never see it. Like Python it does not read:
    /// a child that fills a pipe waits for ever, and so does this. Use
    /// [`communicate`](Self::communicate) if output is piped.
    ///
    /// # Errors
    ///
    /// Those of [`poll`](Self::poll).
    pub fn wait(&mut self) -> Result<i32, SubprocessError> {
        self.stdin = None;
        let status = self.child.wait().map_err(failed(&self.cmd))?;
        Ok(*self.returncode.insert(returncode(status)))
    }

    /// Waits for the child's end for at most this long: `wait(timeout)` in Python,
    /// which asks at growing intervals. Here the kernel wakes the caller (on Linux, by
    /// the child's pidfd, unless no descriptor is left). `stdin` stays open.
    ///
    /// # Errors
    ///
    /// [`SubprocessError::TimeoutExpired`], and those of [`poll`](Self::poll).
    ///
    /// ```
    /// use subprocess::{Popen, SubprocessError};
    /// use std::process::{Command, Stdio};
    /// use std::time::Duration;
    ///
    /// let mut child = Popen::new(Command::new("cat").stdin(Stdio::piped()))?;
    /// let early = child.wait_timeout(Duration::from_millis(10));
    /// assert!(matches!(early, Err(SubprocessError::TimeoutExpired { .. })));
    /// child.stdin = None;
    /// assert_eq!(child.wait_timeout(Duration::from_mins(1))?, 0);
    /// # Ok::<(), SubprocessError>(())
    /// ```
    pub fn wait_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<i32, SubprocessError> {
        self.wait_until(Deadline::after(timeout))?
            .ok_or_else(|| self.expired(timeout))
    }

    fn wait_until(
        &mut self,
        deadline: Deadline,
    ) -> Result<Option<i32>, SubprocessError> {
        let status =
            wait_until(&mut self.child, deadline).map_err(failed(&self.cmd))?;
        self.returncode = status.map(returncode);
        Ok(self.returncode)
    }

    fn expired(&self, timeout: Duration) -> SubprocessError {
        SubprocessError::TimeoutExpired {
            cmd: self.cmd.clone(),
            timeout,
        }
    }

    /// Sends a signal:
    /// [`Popen.send_signal`](https://docs.python.org/3/library/subprocess.html#subprocess.Popen.send_signal).
    /// Does nothing if the child has ended, because its id may belong to another
    /// process by then.
    ///
    /// # Errors
    ///
    /// [`SubprocessError::Io`], for instance if the child runs as another user.
    pub fn send_signal(&mut self, signal: Signal) -> Result<(), SubprocessError> {
        // The poll reaps a child that has ended. One that ends only now is a zombie,
        // which keeps its id until this `&mut self` waits for it.
        if self.poll()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_raw(self.pid().cast_signed());
        kill(pid, signal).map_err(|error| failed(&self.cmd)(error.into()))
    }

    /// Asks the child to end, by SIGTERM.
    ///
    /// # Errors
    ///
    /// Those of [`send_signal`](Self::send_signal).
    pub fn terminate(&mut self) -> Result<(), SubprocessError> {
        self.send_signal(Signal::SIGTERM)
    }

    /// Ends the child, by SIGKILL, which it cannot refuse.
    ///
    /// # Errors
    ///
    /// Those of [`send_signal`](Self::send_signal).
    pub fn kill(&mut self) -> Result<(), SubprocessError> {
        self.send_signal(Signal::SIGKILL)
    }

    /// Sends the input, receives what the child writes to the pipes among its standard
    /// output and standard error, all at once, and waits for the child's end:
    /// [`Popen.communicate`](https://docs.python.org/3/library/subprocess.html#subprocess.Popen.communicate).
    ///
    /// Input and output of any size cannot make the two wait for each other. A child
    /// that closes its input early is not an error: the rest is dropped. What is still
    /// to be sent and what was received is in memory, so neither should be endless. As
    /// in Python another call, which takes no input, returns the same output again.
    ///
    /// It returns once every process that holds one of the pipes has closed it, which a
    /// grandchild may do long after the child has ended.
    ///
    /// # Errors
    ///
    /// [`SubprocessError::InputRefused`] if there is input that cannot be sent, and
    /// [`SubprocessError::Io`].
    pub fn communicate(
        &mut self,
        input: impl Into<Vec<u8>>,
    ) -> Result<Captured<'_>, SubprocessError> {
        self.exchange_until(input.into(), Deadline::Never)?;
        Ok(self.received())
    }

    /// [`communicate`](Self::communicate) for at most this long. After a time-out the
    /// child still runs and nothing is lost: another call continues where this one
    /// stopped, and [`received`](Self::received) returns what has come so far.
    ///
    /// # Errors
    ///
    /// [`SubprocessError::TimeoutExpired`], and those of
    /// [`communicate`](Self::communicate).
    ///
    /// ```
    /// use subprocess::Popen;
    /// use std::process::{Command, Stdio};
    /// use std::time::Duration;
    ///
    /// let mut shell = Command::new("sh");
    /// shell.args(["-c", "echo one; sleep 0.2; echo two"]);
    /// let mut child = Popen::new(shell.stdout(Stdio::piped()))?;
    /// while child.communicate_timeout("", Duration::from_millis(20)).is_err() {
    ///     println!("so far: {:?}", child.received().0);
    /// }
    /// assert_eq!(child.received().0, Some("one\ntwo\n".as_bytes()));
    /// # Ok::<(), subprocess::SubprocessError>(())
    /// ```
    pub fn communicate_timeout(
        &mut self,
        input: impl Into<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Captured<'_>, SubprocessError> {
        if self.exchange_until(input.into(), Deadline::after(timeout))? {
            Ok(self.received())
        } else {
            Err(self.expired(timeout))
        }
    }

    /// What [`communicate`](Self::communicate) has received so far. Python has it in
    /// its `TimeoutExpired`.
    #[must_use]
    pub fn received(&self) -> Captured<'_> {
        match &self.exchange {
            Some(exchange) => {
                (exchange.output.as_deref(), exchange.errors.as_deref())
            }
            None => (None, None),
        }
    }

    /// Sends and receives until every pipe is closed, then waits for the child's end.
    /// Returns whether both came before the deadline.
    fn exchange_until(
        &mut self,
        input: Vec<u8>,
        deadline: Deadline,
    ) -> Result<bool, SubprocessError> {
        if !input.is_empty() && (self.stdin.is_none() || self.exchange.is_some()) {
            return Err(SubprocessError::InputRefused {
                cmd: self.cmd.clone(),
            });
        }
        let mut pipes = Pipes {
            stdin: &mut self.stdin,
            stdout: &mut self.stdout,
            stderr: &mut self.stderr,
        };
        let exchange = self
            .exchange
            .get_or_insert_with(|| Exchange::new(input, &pipes));
        while exchange
            .step(&mut pipes, deadline)
            .map_err(failed(&self.cmd))?
        {
            // Checked after every step, because a child that never stops writing has
            // something ready each time.
            if deadline.has_passed() {
                return Ok(false);
            }
        }
        Ok(self.wait_until(deadline)?.is_some())
    }
}
