//! The functions that run a program to its end.

use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::{cmd_of, command_not_started, failed};
use crate::{CalledProcessError, SubprocessError, not_started};

/// The shell of `shell=True`, by the path that Python uses.
const SHELL: &str = "/bin/sh";

/// An exit status as Python's
/// [`returncode`](https://docs.python.org/3/library/subprocess.html#subprocess.Popen.returncode)
/// tells it.
pub trait ReturnCode {
    /// The exit code, or the signal that ended the process as a negative number.
    ///
    /// ```
    /// use subprocess::ReturnCode;
    /// use std::process::Command;
    ///
    /// let rc = |script| Command::new("sh").args(["-c", script]).status().unwrap();
    /// assert_eq!(rc("exit 3").returncode(), 3);
    /// assert_eq!(rc("kill -TERM $$").returncode(), -15);
    /// ```
    fn returncode(&self) -> i32;
}

impl ReturnCode for ExitStatus {
    fn returncode(&self) -> i32 {
        match (self.code(), self.signal()) {
            (Some(code), _) => code,
            (None, Some(signal)) => -signal,
            (None, None) => {
                unreachable!("a process that is over exited or was killed")
            }
        }
    }
}

/// Runs a program to its end and insists on exit code 0: Python's
/// [`check_call`](https://docs.python.org/3/library/subprocess.html#subprocess.check_call).
/// Python's `call`, which does not insist, is [`Command::status`].
///
/// # Errors
///
/// [`SubprocessError::CalledProcess`] where the program ended otherwise, `NotStarted`
/// where it could not be started.
///
/// ```
/// use subprocess::check_call;
/// use std::process::Command;
///
/// check_call(&mut Command::new("true"))?;
/// let error = check_call(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
/// assert_eq!(error.to_string(), "`sh -c exit 3` ended with exit code 3.");
/// # Ok::<(), subprocess::SubprocessError>(())
/// ```
pub fn check_call(command: &mut Command) -> Result<(), SubprocessError> {
    let status = command.status();
    let status = status.map_err(command_not_started(command))?;
    if status.success() {
        return Ok(());
    }
    Err(SubprocessError::CalledProcess(CalledProcessError {
        cmd: cmd_of(command),
        returncode: status.returncode(),
        output: None,
        stderr: None,
    }))
}

/// Runs a program to its end, insists on exit code 0, and gives what it wrote to its
/// standard output: Python's
/// [`check_output`](https://docs.python.org/3/library/subprocess.html#subprocess.check_output).
///
/// It captures standard output whatever the command says of it. Standard error goes
/// where the command says; where that is a pipe it is captured for the error.
/// ([`Command::output`] always captures both, and insists on nothing.)
///
/// # Errors
///
/// As [`check_call`]; the error carries what was captured.
///
/// ```
/// use subprocess::check_output;
/// use std::process::Command;
///
/// assert_eq!(check_output(Command::new("echo").arg("Hello"))?, b"Hello\n");
/// # Ok::<(), subprocess::SubprocessError>(())
/// ```
pub fn check_output(command: &mut Command) -> Result<Vec<u8>, SubprocessError> {
    let child = command.stdout(Stdio::piped()).spawn();
    let child = child.map_err(command_not_started(command))?;
    let stderr_is_captured = child.stderr.is_some();
    let output = child.wait_with_output().map_err(failed(cmd_of(command)))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(SubprocessError::CalledProcess(CalledProcessError {
        cmd: cmd_of(command),
        returncode: output.status.returncode(),
        output: Some(output.stdout),
        stderr: stderr_is_captured.then_some(output.stderr),
    }))
}

/// Lets the shell run a command line: Python's
/// [`getstatusoutput`](https://docs.python.org/3/library/subprocess.html#subprocess.getstatusoutput).
/// Gives the shell's return code, and as one text what was written to standard output
/// and standard error, without the last newline. Bytes that are not UTF-8 become
/// `U+FFFD` (Python decodes by the locale, and fails).
///
/// # Errors
///
/// [`SubprocessError`] where the shell cannot be started or read from. A shell that
/// fails is no error: its code says so.
///
/// ```
/// use subprocess::getstatusoutput;
///
/// let (code, output) = getstatusoutput("echo out; echo err >&2; exit 3")?;
/// assert_eq!((code, output.as_str()), (3, "out\nerr"));
/// # Ok::<(), subprocess::SubprocessError>(())
/// ```
pub fn getstatusoutput(cmd: &str) -> Result<(i32, String), SubprocessError> {
    let mut shell = Command::new(SHELL);
    shell.args(["-c", cmd]);
    let (mut reader, writer) = io::pipe().map_err(not_started(SHELL))?;
    shell.stderr(writer.try_clone().map_err(not_started(SHELL))?);
    shell.stdout(writer);
    let mut child = shell.spawn().map_err(not_started(SHELL))?;
    let mut output = Vec::new();
    // The command holds the writing ends for its next spawn: while it lives, the pipe
    // has no end.
    drop(shell);
    let status = reader
        .read_to_end(&mut output)
        .and_then(|_| child.wait())
        .map_err(failed(cmd))?;
    let mut output = String::from_utf8_lossy(&output).into_owned();
    if output.ends_with('\n') {
        output.pop();
    }
    Ok((status.returncode(), output))
}

/// The output of [`getstatusoutput`]: Python's
/// [`getoutput`](https://docs.python.org/3/library/subprocess.html#subprocess.getoutput).
///
/// # Errors
///
/// As [`getstatusoutput`].
///
/// ```
/// use subprocess::getoutput;
///
/// assert_eq!(getoutput("echo Hello | tr l L")?, "HeLLo");
/// # Ok::<(), subprocess::SubprocessError>(())
/// ```
pub fn getoutput(cmd: &str) -> Result<String, SubprocessError> {
    Ok(getstatusoutput(cmd)?.1)
}
