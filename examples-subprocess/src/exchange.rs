//! Writing to a child and reading from it at the same time.

use std::io::{self, ErrorKind, Read, Write};
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::PIPE_BUF;

use crate::wait::Deadline;

/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

/// What `communicate` has still to send and what it has received.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Given back to the allocator once standard input is closed.
    input: Vec<u8>,
    /// How much of the input the pipe has taken.
    sent: usize,
    /// `None` if standard output is not a pipe.
    pub(crate) output: Option<Vec<u8>>,
    /// `None` if standard error is not a pipe.
    pub(crate) errors: Option<Vec<u8>>,
}

/// The parent's ends of a child's pipes; `None` for one that is closed or never
/// existed.
pub(crate) struct Pipes<'a> {
    pub(crate) stdin: &'a mut Option<ChildStdin>,
    pub(crate) stdout: &'a mut Option<ChildStdout>,
    pub(crate) stderr: &'a mut Option<ChildStderr>,
}

impl Exchange {
    /// An exchange in which nothing has moved yet.
    pub(crate) fn new(input: Vec<u8>, pipes: &Pipes<'_>) -> Self {
        Self {
            input,
            sent: 0,
            output: pipes.stdout.is_some().then(Vec::new),
            errors: pipes.stderr.is_some().then(Vec::new),
        }
    }

    /// Waits until a pipe is ready or the deadline has passed, and moves what is ready
    /// without blocking. Returns whether a pipe is still open.
    pub(crate) fn step(
        &mut self,
        pipes: &mut Pipes<'_>,
        deadline: Deadline,
    ) -> io::Result<bool> {
        if self.sent == self.input.len() {
            *pipes.stdin = None; // All is sent: let the child see the end.
        }
        let mut fds = Vec::with_capacity(3);
        fds.extend(pipes.stdin.iter().map(|p| PollFd::new(p, PollFlags::OUT)));
        fds.extend(pipes.stdout.iter().map(|p| PollFd::new(p, PollFlags::IN)));
        fds.extend(pipes.stderr.iter().map(|p| PollFd::new(p, PollFlags::IN)));
        if fds.is_empty() {
            return Ok(false);
        }
        match poll(&mut fds, deadline.time_left().as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        // A pipe whose other end is closed counts as ready: the call finds out.
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut ready = |is_open| is_open && ready.next() == Some(true);
        let [stdin, stdout, stderr] = [
            ready(pipes.stdin.is_some()),
            ready(pipes.stdout.is_some()),
            ready(pipes.stderr.is_some()),
        ];
        if stdin {
            self.send(pipes.stdin)?;
        }
        if stdout {
            receive(pipes.stdout, &mut self.output)?;
        }
        if stderr {
            receive(pipes.stderr, &mut self.errors)?;
        }
        Ok(true)
    }

    fn send(&mut self, stdin: &mut Option<ChildStdin>) -> io::Result<()> {
        let Some(pipe) = stdin else { return Ok(()) };
        // Ready means room for PIPE_BUF bytes, not for more. A longer write would
        // block, and so may the child, whose output is not read meanwhile.
        let rest = &self.input[self.sent..];
        match pipe.write(&rest[..rest.len().min(PIPE_BUF)]) {
            Ok(sent) => self.sent += sent,
            // The child has closed its input: the rest is dropped.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.sent = self.input.len();
            }
            Err(error) => ignore_if_transient(error)?,
        }
        if self.sent == self.input.len() {
            self.input = Vec::new();
            self.sent = 0;
        }
        Ok(())
    }
}

/// Adds to `received` what the pipe has ready, and closes it at its end.
fn receive<P: Read>(
    pipe: &mut Option<P>,
    received: &mut Option<Vec<u8>>,
) -> io::Result<()> {
    let Some(open) = pipe else { return Ok(()) };
    let mut chunk = [0; CHUNK];
    match open.read(&mut chunk) {
        Ok(0) => *pipe = None,
        Ok(read) => received
            .get_or_insert_default()
            .extend_from_slice(&chunk[..read]),
        Err(error) => ignore_if_transient(error)?,
    }
    Ok(())
}

/// A signal interrupted the call, or the pipe is non-blocking and another process was
/// faster. Either way the next `poll` reports when to try again.
fn ignore_if_transient(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::Interrupted | ErrorKind::WouldBlock => Ok(()),
        _ => Err(error),
    }
}
