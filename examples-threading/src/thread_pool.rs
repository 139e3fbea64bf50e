//! Threads that wait for work.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, Builder, JoinHandle};

use crossbeam::channel::{self, Receiver, Sender};

/// A fixed number of threads that run what is submitted, in the order of submission:
/// Python's [`ThreadPoolExecutor`](https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor).
///
/// Dropping the pool waits until everything that was submitted has finished. A task that
/// waits for another task of its own pool may wait for ever, as in Python: every thread
/// of the pool may be waiting, so that none is left to run the other task.
///
/// ```
/// use threading::ThreadPool;
///
/// # fn main() -> std::io::Result<()> {
/// let pool = ThreadPool::new(4)?;
/// let task = pool.submit(|| 6 * 7);
/// assert_eq!(task.result().unwrap(), 42);
///
/// let squares: Result<Vec<_>, _> = pool.map(1..=5, |n| n * n).collect();
/// assert_eq!(squares.unwrap(), [1, 4, 9, 16, 25]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ThreadPool {
    /// `None` only while the pool is dropped: a thread ends when no sender is left.
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl ThreadPool {
    /// Starts this number of threads; 0 counts as 1.
    ///
    /// # Errors
    ///
    /// The system's error if it cannot start that many.
    pub fn new(threads: usize) -> io::Result<Self> {
        let (sender, jobs) = channel::unbounded::<Job>();
        let mut pool = Self {
            jobs: Some(sender),
            threads: Vec::new(),
        };
        for number in 0..threads.max(1) {
            let jobs = jobs.clone();
            let worker = move || {
                for job in jobs {
                    // A result that nobody wants is dropped here, as is the value of a
                    // panic, and either drop may panic. It must not end the thread.
                    drop(catch_unwind(AssertUnwindSafe(job)));
                }
            };
            let builder = Builder::new().name(format!("ThreadPool_{number}"));
            pool.threads.push(builder.spawn(worker)?);
        }
        Ok(pool)
    }

    /// Lets the next free thread call this function.
    pub fn submit<F, R>(&self, function: F) -> Task<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let (sender, outcome) = channel::bounded(1);
        let job = Box::new(move || {
            // Unwind safe: the function was moved in, so nothing of it is seen again.
            let returned = catch_unwind(AssertUnwindSafe(function));
            let (value, panic) = match returned {
                Ok(value) => (Ok(value), None),
                Err(panic) => (Err(TaskPanicked::new(&*panic)), Some(panic)),
            };
            // An outcome that nobody waits for any more comes back, and is dropped.
            let unwanted = sender.send(value).err();
            // Only now: dropping the value of a panic may panic in turn, and a thread
            // that waits for the outcome would wait for ever.
            drop((unwanted, panic));
        });
        let jobs = self.jobs.as_ref().expect("only dropping the pool takes it");
        jobs.send(job)
            .expect("the threads receive until the pool is dropped");
        Task { outcome }
    }

    /// Submits a call for every item and returns the results in the items' order, each
    /// as soon as it and those before it have arrived.
    ///
    /// All items are taken from the iterator at once, as in Python.
    pub fn map<I, F, R>(
        &self,
        items: I,
        function: F,
    ) -> impl Iterator<Item = Result<R, TaskPanicked>> + use<I, F, R>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let function = Arc::new(function);
        let tasks: Vec<_> = items
            .into_iter()
            .map(|item| {
                let function = Arc::clone(&function);
                self.submit(move || function(item))
            })
            .collect();
        tasks.into_iter().map(Task::result)
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let this_thread = thread::current().id();
        for worker in self.threads.drain(..) {
            // A task that held the last handle of its own pool must not wait for itself.
            if worker.thread().id() != this_thread {
                worker.join().expect("a worker catches its tasks' panics");
            }
        }
    }
}

/// The handle of a submitted call and its result: Python's `Future`.
///
/// Dropping it does not stop the call. The example is at [`ThreadPool`].
pub struct Task<R> {
    /// Has room for the outcome, so that the thread that sends it never waits.
    outcome: Receiver<Result<R, TaskPanicked>>,
}

impl<R> Task<R> {
    /// Waits until the call has returned, and takes what it returned.
    ///
    /// # Errors
    ///
    /// [`TaskPanicked`] with the panic's message.
    ///
    /// ```
    /// use threading::ThreadPool;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let pool = ThreadPool::new(1)?;
    /// let task = pool.submit(|| "abc".parse::<i32>().expect("not a number"));
    /// let message = task.result().unwrap_err().to_string();
    /// assert!(message.starts_with("the task panicked: not a number"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn result(self) -> Result<R, TaskPanicked> {
        self.outcome
            .recv()
            .expect("every submitted call sends its outcome")
    }

    /// Whether the call has returned or panicked.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !self.outcome.is_empty()
    }
}

impl<R> fmt::Debug for Task<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("is_done", &self.is_done())
            .finish_non_exhaustive()
    }
}

/// The call ended in a panic. The example is at [`Task::result`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPanicked {
    message: String,
}

impl TaskPanicked {
    fn new(panic: &(dyn Any + Send)) -> Self {
        let message = if let Some(text) = panic.downcast_ref::<String>() {
            text
        } else if let Some(text) = panic.downcast_ref::<&str>() {
            text
        } else {
            "a value that is not a text"
        };
        Self {
            message: message.into(),
        }
    }

    /// The message of the panic.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for TaskPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task panicked: {}", self.message)
    }
}

impl std::error::Error for TaskPanicked {}
