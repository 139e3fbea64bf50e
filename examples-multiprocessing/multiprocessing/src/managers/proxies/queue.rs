//! The proxy of a queue.

use std::time::Duration;

use super::proxy_type;
use crate::managers::convert::FromValue;
use crate::managers::{ManagerError, Proxy, Value};

proxy_type! {
    /// A queue in a manager's server: Python's `manager.Queue()`. The table at
    /// [`multiprocessing::Queue`](crate::Queue#which-queue) says how the two differ.
    ///
    /// An item that was taken for a client which has died in the meantime goes back to its
    /// place.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// use multiprocessing::managers::ManagerError;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    ///
    /// let q = manager.queue(0)?; // of a manager that is started or connected
    /// q.put("bone")?;
    /// assert_eq!(q.get::<String>()?, "bone");
    /// assert!(matches!(q.get_nowait::<String>(), Err(ManagerError::Empty)));
    /// # drop(q);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    QueueProxy as "AutoProxy"
}

impl QueueProxy {
    /// Puts an item in, waiting for room as long as it takes.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn put(&self, item: impl Into<Value>) -> Result<(), ManagerError> {
        self.proxy.call("put", (item,))
    }

    /// Puts an item in, waiting for room for at most this long.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Full`] and others.
    pub fn put_timeout(
        &self,
        item: impl Into<Value>,
        timeout: Duration,
    ) -> Result<(), ManagerError> {
        self.proxy.call("put", (item, true, timeout.as_secs_f64()))
    }

    /// Puts an item in if there is room now.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Full`] and others.
    pub fn put_nowait(&self, item: impl Into<Value>) -> Result<(), ManagerError> {
        self.proxy.call("put_nowait", (item,))
    }

    /// Takes the next item, waiting for one as long as it takes.
    ///
    /// # Errors
    ///
    /// [`ManagerError`]; an item that is not a `T` is lost.
    pub fn get<T: FromValue>(&self) -> Result<T, ManagerError> {
        self.proxy.call("get", ())
    }

    /// Takes the next item, waiting for one for at most this long.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Empty`] and others.
    pub fn get_timeout<T: FromValue>(
        &self,
        timeout: Duration,
    ) -> Result<T, ManagerError> {
        self.proxy.call("get", (true, timeout.as_secs_f64()))
    }

    /// Takes the next item if there is one now.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Empty`] and others.
    pub fn get_nowait<T: FromValue>(&self) -> Result<T, ManagerError> {
        self.proxy.call("get_nowait", ())
    }

    /// The number of items in the queue.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn qsize(&self) -> Result<usize, ManagerError> {
        self.proxy.call("qsize", ())
    }

    /// Whether the queue is empty.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn empty(&self) -> Result<bool, ManagerError> {
        self.proxy.call("empty", ())
    }

    /// Whether the queue has no room.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn full(&self) -> Result<bool, ManagerError> {
        self.proxy.call("full", ())
    }

    /// Reports that the work on an item that was taken is finished.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] if that has been reported of every item already.
    pub fn task_done(&self) -> Result<(), ManagerError> {
        self.proxy.call("task_done", ())
    }

    /// Waits until [`task_done`](Self::task_done) has been reported of every item.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn join(&self) -> Result<(), ManagerError> {
        self.proxy.call("join", ())
    }

    /// Ends the queue: nothing more can be put, and once the rest has been taken, `get`
    /// ends with [`ManagerError::ShutDown`]. Python's servers have it from 3.13 on.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn shutdown(&self) -> Result<(), ManagerError> {
        self.proxy.call("shutdown", ())
    }
}
