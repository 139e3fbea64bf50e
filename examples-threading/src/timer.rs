//! A function that is called later, unless it is cancelled before.

use std::io;
use std::time::Duration;

use crate::Event;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Calls a function on a thread of its own once a time has passed: Python's
/// [`threading.Timer`](https://docs.python.org/3/library/threading.html#timer-objects),
/// created and started.
///
/// A Python program waits at its end for a timer that still runs. A Rust program does
/// not, so [`join`](Self::join) it. A timer that is dropped still fires.
///
/// ```
/// use threading::Timer;
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let timer = Timer::start(Duration::from_secs(3600), || println!("too late"))?;
/// timer.cancel();
/// timer.join().unwrap(); // returns at once
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Timer {
    cancelled: Arc<Event>,
    thread: JoinHandle<()>,
}

impl Timer {
    /// Starts to wait; `function` is called once `interval` has passed.
    ///
    /// # Errors
    ///
    /// The system's error if it cannot start another thread.
    pub fn start<F>(interval: Duration, function: F) -> io::Result<Self>
    where
        F: FnOnce() + Send + 'static,
    {
        let cancelled = Arc::new(Event::new());
        let thread = Builder::new().name("Timer".into()).spawn({
            let cancelled = Arc::clone(&cancelled);
            move || {
                if !cancelled.wait_timeout(interval) {
                    function();
                }
            }
        })?;
        Ok(Self { cancelled, thread })
    }

    /// Stops the timer if it is still waiting. A function that was already called runs
    /// to its end.
    pub fn cancel(&self) {
        self.cancelled.set();
    }

    /// Waits until the function has returned, or the timer was cancelled.
    ///
    /// # Errors
    ///
    /// The panic of the function, as [`JoinHandle::join`] returns it.
    pub fn join(self) -> std::thread::Result<()> {
        self.thread.join()
    }
}
