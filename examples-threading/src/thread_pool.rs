//! Threads that wait for work.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sync::thread::{self, Builder, JoinHandle};
use crate::sync::{Arc, Condvar, Mutex, Queue};

/// A fixed number of threads that run what is submitted, in the order of submission:
/// Python's [`ThreadPoolExecutor`](https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor).
///
/// Dropping the pool waits until everything that was submitted is finished. A task
/// that waits for another task of its own pool may wait for ever, as in Python: all
/// threads may be waiting for what none of them is left to run.
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
    jobs: Arc<Queue<Job>>,
    threads: Vec<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl ThreadPool {
    /// Starts so many threads; 0 counts as 1.
    ///
    /// # Errors
    ///
    /// What the system says where it cannot start that many.
    pub fn new(threads: usize) -> io::Result<Self> {
        let mut pool = Self {
            jobs: Arc::new(Queue::new(0)),
            threads: Vec::new(),
        };
        for number in 0..threads.max(1) {
            let jobs = Arc::clone(&pool.jobs);
            let worker = move || {
                while let Ok(job) = jobs.get() {
                    // What a call returned may panic once more, when nobody wants
                    // it and it is dropped here: that too must not end the thread.
                    drop(catch_unwind(AssertUnwindSafe(job)));
                }
            };
            let builder = Builder::new().name(format!("ThreadPool_{number}"));
            pool.threads.push(builder.spawn(worker)?);
        }
        Ok(pool)
    }

    /// Has a free thread call this function, the next that is free if none is now.
    pub fn submit<F, R>(&self, function: F) -> Task<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let outcome = Arc::new(Outcome {
            value: Mutex::new(None),
            came: Condvar::new(),
        });
        let task = Task {
            outcome: Arc::clone(&outcome),
        };
        let job = Box::new(move || {
            // The thread goes on to the next job, so nothing of a function that
            // panicked may be seen again: it was moved in and is gone.
            let value = catch_unwind(AssertUnwindSafe(function));
            *outcome.value.lock().unwrap() =
                Some(value.map_err(|panic| TaskPanicked::new(&*panic)));
            outcome.came.notify_all();
        });
        self.jobs
            .put(job)
            .expect("only dropping the pool shuts the queue down");
        task
    }

    /// Submits a call for every item and returns the results in the items' order,
    /// each as soon as it and those before it are there.
    ///
    /// The items are taken at once, as Python does it.
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
        self.jobs.shutdown();
        let this_thread = thread::current().id();
        for worker in self.threads.drain(..) {
            // A task that held the last handle to its own pool must not wait for
            // itself.
            if worker.thread().id() != this_thread {
                worker.join().expect("a worker catches its tasks' panics");
            }
        }
    }
}

/// A submitted call, and the handle to its result: Python's `Future`.
///
/// Dropping it does not stop the call. The example is at [`ThreadPool`].
pub struct Task<R> {
    outcome: Arc<Outcome<R>>,
}

struct Outcome<R> {
    value: Mutex<Option<Result<R, TaskPanicked>>>,
    came: Condvar,
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
        let mut value = self.outcome.value.lock().unwrap();
        loop {
            if let Some(value) = value.take() {
                return value;
            }
            // Not lost between the look and the wait: the value is stored under
            // the lock that `wait` gives up.
            value = self.outcome.came.wait(value).unwrap();
        }
    }

    /// Whether the call has returned or panicked.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.outcome.value.lock().unwrap().is_some()
    }
}

impl<R> fmt::Debug for Task<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("is_done", &self.is_done())
            .finish_non_exhaustive()
    }
}

/// The call ended in a panic. Made by [`Task::result`], where its example is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPanicked {
    message: String,
}

impl TaskPanicked {
    fn new(panic: &(dyn Any + Send)) -> Self {
        let message = (panic.downcast_ref::<String>().cloned())
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "a value that is no text".into());
        Self { message }
    }

    /// What the panic said.
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
