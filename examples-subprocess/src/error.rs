//! What can go wrong with a child process.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

/// What can go wrong with a child process: Python's
/// [`SubprocessError`](https://docs.python.org/3/library/subprocess.html#subprocess.SubprocessError)
/// and the `OSError`s that its functions raise. Each displays as one sentence.
///
/// ```
/// use subprocess::check_call;
/// use std::process::Command;
///
/// let error = check_call(&mut Command::new("no-such-program")).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "no-such-program was not found: install it or correct its name."
/// );
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SubprocessError {
    /// The program could not be started: Python's `FileNotFoundError` and its kin.
    NotStarted {
        /// The program as the command names it.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program ended with a code other than 0.
    CalledProcess(CalledProcessError),
    /// The child did not end in time. It still runs, and what it has written so far is
    /// kept for the next call.
    TimeoutExpired {
        /// The program and its arguments.
        cmd: String,
        /// How long the call waited.
        timeout: Duration,
    },
    /// There is input that cannot be sent to the child: its standard input is not a
    /// pipe, or an earlier `communicate` has sent all there was. Python's
    /// `ValueError`.
    InputRefused {
        /// The program and its arguments.
        cmd: String,
    },
    /// The child was started, but a system call for it failed: `ECHILD` if SIGCHLD is
    /// ignored or other code has waited for it, `EPERM` if it runs as another user.
    Io {
        /// The program and its arguments.
        cmd: String,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for SubprocessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { program, source }
                if source.kind() == io::ErrorKind::NotFound =>
            {
                write!(f, "{program} was not found: {}.", remedy(program))
            }
            Self::NotStarted { program, source } => {
                write!(f, "{program} could not be started: {source}.")
            }
            Self::CalledProcess(error) => error.fmt(f),
            Self::TimeoutExpired { cmd, timeout } => write!(
                f,
                "`{cmd}` did not end within {timeout:?}: call again to go on \
                 waiting, or end it with terminate() or kill()."
            ),
            Self::InputRefused { cmd } => write!(
                f,
                "`{cmd}` takes no input now: make its standard input a pipe, and \
                 give the first communicate() all there is to send."
            ),
            Self::Io { cmd, source } => {
                write!(f, "A system call for `{cmd}` failed: {source}.")
            }
        }
    }
}

impl Error for SubprocessError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotStarted { source, .. } | Self::Io { source, .. } => {
                Some(source)
            }
            _ => None,
        }
    }
}

/// What the reader can do about a program that is missing.
fn remedy(program: &str) -> &'static str {
    match Path::new(program).file_name().and_then(OsStr::to_str) {
        Some("ping") => "install the Debian package iputils-ping",
        Some("nslookup") => "install the Debian package bind9-dnsutils",
        Some("protest" | "increment_first") => {
            "build it with `cargo build -p examples-subprocess`"
        }
        _ => "install it or correct its name",
    }
}

/// A program that ended with a code other than 0: Python's
/// [`CalledProcessError`](https://docs.python.org/3/library/subprocess.html#subprocess.CalledProcessError).
///
/// ```
/// use subprocess::{SubprocessError, check_output};
/// use std::process::Command;
///
/// let failed = check_output(Command::new("sh").args(["-c", "echo half; kill -9 $$"]));
/// let Err(SubprocessError::CalledProcess(error)) = failed else {
///     panic!("a killed shell does not succeed");
/// };
/// assert_eq!(error.returncode, -9);
/// assert_eq!(error.output.as_deref(), Some("half\n".as_bytes()));
/// assert!(error.to_string().ends_with("was ended by signal 9 (SIGKILL)."));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalledProcessError {
    /// The program and its arguments, with a space between them.
    pub cmd: String,
    /// Its exit code; negative for the signal that ended it.
    pub returncode: i32,
    /// What it wrote to its standard output, if that was captured.
    pub output: Option<Vec<u8>>,
    /// What it wrote to its standard error, if that was captured.
    pub stderr: Option<Vec<u8>>,
}

impl fmt::Display for CalledProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cmd, returncode, ..
        } = self;
        if *returncode >= 0 {
            return write!(f, "`{cmd}` ended with exit code {returncode}.");
        }
        let signal = -returncode;
        match Signal::try_from(signal) {
            Ok(name) => write!(f, "`{cmd}` was ended by signal {signal} ({name})."),
            // Real-time signals have no names.
            Err(_) => write!(f, "`{cmd}` was ended by signal {signal}."),
        }
    }
}

impl Error for CalledProcessError {}

/// Names the program in the error of starting it, which says only what the system said.
pub(crate) fn not_started(
    program: impl Into<String>,
) -> impl FnOnce(io::Error) -> SubprocessError {
    |source| SubprocessError::NotStarted {
        program: program.into(),
        source,
    }
}

/// Names the command in the error of a system call for its child.
pub(crate) fn failed(
    cmd: impl Into<String>,
) -> impl FnOnce(io::Error) -> SubprocessError {
    |source| SubprocessError::Io {
        cmd: cmd.into(),
        source,
    }
}

/// [`not_started`] for a `Command`.
pub(crate) fn command_not_started(
    command: &Command,
) -> impl FnOnce(io::Error) -> SubprocessError {
    |mut source| {
        // The system's error is the same for a missing program and a missing directory.
        if let Some(dir) = command.get_current_dir()
            && source.kind() == io::ErrorKind::NotFound
            && !dir.exists()
        {
            source =
                io::Error::other(format!("there is no directory {}", dir.display()));
        }
        not_started(command.get_program().to_string_lossy())(source)
    }
}

/// The program and the arguments of a command, as its errors name them.
pub(crate) fn cmd_of(command: &Command) -> String {
    let mut cmd = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        cmd.push(' ');
        cmd.push_str(&arg.to_string_lossy());
    }
    cmd
}
