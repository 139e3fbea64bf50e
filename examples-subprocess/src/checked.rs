//! The functions that run a program to its end.

use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::{cmd_of, command_not_started, failed, not_started};
use crate::{CalledProcessError, SubprocessError};

/// The shell of `shell=True`, by the path that Python uses.
const SHELL: &str = "/bin/sh";

/// The exit code, or the signal that ended the process as a negative number: Python's
/// [`returncode`](https://docs.python.org/3/library/subprocess.html#subprocess.Popen.returncode).
pub(crate) fn returncode(status: ExitStatus) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => -signal,
        (None, None) => {
            unreachable!("a process that has ended exited or was killed")
        }
    }
}

/// Runs a program to its end and returns its exit code, or the signal that ended it as
/// a negative number: Python's
/// [`call`](https://docs.python.org/3/library/subprocess.html#subprocess.call).
///
/// # Errors
///
/// [`SubprocessError::NotStarted`] if the program could not be started. A program that
/// fails is not an error: its code says so.
///
/// ```
/// use subprocess::call;
/// use std::process::Command;
///
/// assert_eq!(call(&mut Command::new("true"))?, 0);
/// assert_eq!(call(Command::new("sh").args(["-c", "exit 3"]))?, 3);
/// assert_eq!(call(Command::new("sh").args(["-c", "kill -TERM $$"]))?, -15);
/// # Ok::<(), subprocess::SubprocessError>(())
/// ```
pub fn call(command: &mut Command) -> Result<i32, SubprocessError> {
    let status = command.status();
    status.map(returncode).map_err(command_not_started(command))
}

/// Runs a program to its end and insists on exit code 0: Python's
/// [`check_call`](https://docs.python.org/3/library/subprocess.html#subprocess.check_call).
///
/// # Errors
///
/// [`SubprocessError::CalledProcess`] if the program ended with another code or by a
/// signal, [`SubprocessError::NotStarted`] if it could not be started.
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
    let returncode = call(command)?;
    if returncode == 0 {
        return Ok(());
    }
    Err(SubprocessError::CalledProcess(CalledProcessError {
        cmd: cmd_of(command),
        returncode,
        output: None,
        stderr: None,
    }))
}

/// Runs a program to its end, insists on exit code 0, and returns what it wrote to its
/// standard output: Python's
/// [`check_output`](https://docs.python.org/3/library/subprocess.html#subprocess.check_output).
///
/// Standard output is captured whatever the command says of it. Standard error goes
/// where the command says; if that is a pipe, it is captured for the error.
/// ([`Command::output`] always captures both and does not look at the code.)
///
/// # Errors
///
/// Those of [`check_call`]. The error carries what was captured.
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
        returncode: returncode(output.status),
        output: Some(output.stdout),
        stderr: stderr_is_captured.then_some(output.stderr),
    }))
}

/// Lets the shell run a command line: Python's
/// [`getstatusoutput`](https://docs.python.org/3/library/subprocess.html#subprocess.getstatusoutput).
/// Returns the shell's return code and, as one text, what was written to standard
/// output and standard error, without the last newline. Bytes that are not UTF-8 become
/// `U+FFFD`; Python decodes by the locale, and fails.
///
/// # Errors
///
/// [`SubprocessError`] if the shell cannot be started or read from. A shell that fails
/// is not an error: its code says so.
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
    // The command keeps the writing ends for its next spawn. As long as it has them,
    // the reader never sees the end of the pipe.
    drop(shell);
    let status = reader
        .read_to_end(&mut output)
        .and_then(|_| child.wait())
        .map_err(failed(cmd))?;
    let mut output = String::from_utf8_lossy(&output).into_owned();
    if output.ends_with('\n') {
        output.pop();
    }
    Ok((returncode(status), output))
}

/// The output of [`getstatusoutput`]: Python's
/// [`getoutput`](https://docs.python.org/3/library/subprocess.html#subprocess.getoutput).
///
/// # Errors
///
/// Those of [`getstatusoutput`].
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

/// A path as a shell reads it back unchanged, for a command line: Python's
/// [`shlex.quote`](https://docs.python.org/3/library/shlex.html#shlex.quote). Bytes
/// that are not UTF-8 become `U+FFFD`.
///
/// ```
/// use subprocess::{getoutput, quote};
///
/// let odd = "it's $HOME";
/// assert_eq!(getoutput(&format!("echo {}", quote(odd)))?, odd);
/// # Ok::<(), subprocess::SubprocessError>(())
/// ```
pub fn quote(path: impl AsRef<Path>) -> String {
    // A shell takes what stands in single quotes as it is; such a quote itself has to
    // stand between two quoted parts.
    let path = path.as_ref().to_string_lossy();
    format!("'{}'", path.replace('\'', r"'\''"))
}
