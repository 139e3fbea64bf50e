//! Waiting for several things at once.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// Waits until one or more of these can be received from without waiting, and says
/// which, by their positions in `objects`: none only if the time is over. Python's
/// [`connection.wait`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.connection.wait).
///
/// Anything that has a descriptor will do: a [`Connection`](crate::Connection) is ready
/// when there is a message or the end, a process's sentinel when the process has ended.
/// Without a `timeout` the wait has no limit.
///
/// # Errors
///
/// The system's, if it cannot poll that many.
///
/// ```
/// use multiprocessing::{pipe, wait};
/// use std::os::fd::AsFd;
///
/// # fn main() -> tutorial::Result<()> {
/// let (a, to_a) = pipe(false)?;
/// let (b, to_b) = pipe(false)?;
/// to_b.send("here")?;
/// assert_eq!(wait(&[&a, &b], None)?, [1]);
/// drop(to_a); // the end is received, too
/// let mixed: [&dyn AsFd; 3] = [&a, &b, &std::io::stdin()];
/// assert!(wait(&mixed, None)?.starts_with(&[0, 1]));
/// # Ok(())
/// # }
/// ```
pub fn wait<T: AsFd>(
    objects: &[T],
    timeout: Option<Duration>,
) -> io::Result<Vec<usize>> {
    // A time beyond the range of the clock is not a limit.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut polled: Vec<_> = objects
        .iter()
        .map(|object| PollFd::new(object.as_fd(), PollFlags::POLLIN))
        .collect();
    // No wake-up can be lost: what is ready stays so until it is taken.
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match ppoll(&mut polled, left.map(TimeSpec::from_duration), None) {
            Err(Errno::EINTR) => {}
            waited => {
                waited?;
                break;
            }
        }
    }
    let ready = |polled: &PollFd<'_>| polled.any().unwrap_or(true);
    Ok((0..)
        .zip(&polled)
        .filter(|(_, polled)| ready(polled))
        .map(|(i, _)| i)
        .collect())
}
