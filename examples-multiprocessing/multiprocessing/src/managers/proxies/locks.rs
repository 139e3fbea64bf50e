//! The proxies of locks and of what else clients wait for.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use super::proxy_type;
use crate::managers::{ManagerError, Proxy, Value};

proxy_type! {
    /// A lock in a manager's server: Python's `manager.Lock()` and `manager.RLock()`.
    ///
    /// It is held by a thread of a client. When that ends, or its process dies, the lock
    /// is free; the next holder is not told. A plain lock may be released by anybody, a
    /// re-entrant one by its owner only, who may take it again.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    /// let lock = manager.lock()?; // of a manager that is started or connected
    /// let held = lock.lock()?;
    /// assert!(!lock.try_acquire()?);
    /// drop(held);
    /// assert!(lock.try_acquire()?);
    /// # drop(lock);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    LockProxy as "AcquirerProxy"
}

proxy_type! {
    /// Permits in a manager's server: Python's `manager.Semaphore()` and
    /// `manager.BoundedSemaphore()`.
    ///
    /// The permits of a client that ends or dies come back, as long as nobody releases
    /// what it never acquired: then the semaphore counts events, and nothing comes back.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    /// let rooms = manager.semaphore(1)?; // of a manager that is started or connected
    /// rooms.acquire()?;
    /// assert!(!rooms.try_acquire()?);
    /// rooms.release()?;
    /// # drop(rooms);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    SemaphoreProxy as "AcquirerProxy"
}

proxy_type! {
    /// Clients that wait for each other's news under a lock: Python's
    /// `manager.Condition()`.
    ///
    /// News that reach a client which has died go to the next.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// # use std::time::Duration;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    /// let news = manager.condition(None)?; // of a manager that is started or connected
    /// let held = news.lock()?;
    /// assert!(!news.wait_timeout(Duration::from_millis(1))?);
    /// news.notify_all()?;
    /// drop(held);
    /// # drop(news);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    ConditionProxy as "ConditionProxy"
}

macro_rules! acquirer {
    ($name:ident) => {
        impl $name {
            /// Waits as long as it takes. Give it back with
            /// [`release`](Self::release).
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn acquire(&self) -> Result<(), ManagerError> {
                self.proxy.call("acquire", ())
            }

            /// Returns whether it was to be had at once.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn try_acquire(&self) -> Result<bool, ManagerError> {
                self.proxy.call("acquire", (false,))
            }

            /// Waits for at most this long. Returns whether it was to be had.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn acquire_timeout(
                &self,
                timeout: Duration,
            ) -> Result<bool, ManagerError> {
                self.proxy.call("acquire", (true, timeout.as_secs_f64()))
            }

            /// Gives it back.
            ///
            /// # Errors
            ///
            /// [`ManagerError::Raised`] where that was not for this client to do.
            pub fn release(&self) -> Result<(), ManagerError> {
                self.proxy.call("release", ())
            }

            /// Acquires it until the guard is dropped: Python's `with`.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn lock(&self) -> Result<HeldLock<'_>, ManagerError> {
                self.acquire()?;
                Ok(HeldLock {
                    proxy: &self.proxy,
                    of_this_thread: PhantomData,
                })
            }
        }
    };
}
acquirer!(LockProxy);
acquirer!(SemaphoreProxy);
acquirer!(ConditionProxy);

/// Something acquired, given back when this is dropped. If the server has gone by then,
/// nobody needs it any more.
///
/// Made by [`LockProxy::lock`], where its example is.
#[derive(Debug)]
#[must_use = "what is not kept is given back at once"]
pub struct HeldLock<'a> {
    proxy: &'a Proxy,
    /// To the server its holder is a thread, as each has a connection of its own.
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for HeldLock<'_> {
    fn drop(&mut self) {
        let _server_gone = self.proxy.call::<()>("release", ());
    }
}

impl ConditionProxy {
    /// Gives the lock up, waits to be told, and takes the lock again.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] where the caller does not hold the lock.
    pub fn wait(&self) -> Result<(), ManagerError> {
        self.proxy.call("wait", ())
    }

    /// [`wait`](Self::wait) for at most this long. Returns whether it was told.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, ManagerError> {
        self.proxy.call("wait", (timeout.as_secs_f64(),))
    }

    /// Waits until this is true, which is looked at with the lock held.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for(
        &self,
        mut predicate: impl FnMut() -> Result<bool, ManagerError>,
    ) -> Result<(), ManagerError> {
        // What is told between the look and the wait is not missed: whoever tells it
        // needs the lock, which is given up only by waiting.
        while !predicate()? {
            self.wait()?;
        }
        Ok(())
    }

    /// [`wait_for`](Self::wait_for) for at most this long. Returns what it last was.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for_timeout(
        &self,
        timeout: Duration,
        mut predicate: impl FnMut() -> Result<bool, ManagerError>,
    ) -> Result<bool, ManagerError> {
        let deadline = Instant::now().checked_add(timeout);
        // The wake-up that must not be lost is the one `wait_for` names.
        while !predicate()? {
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Ok(false);
            }
            self.wait_timeout(left)?;
        }
        Ok(true)
    }

    /// Tells one client that waits.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] where the caller does not hold the lock.
    pub fn notify(&self) -> Result<(), ManagerError> {
        self.proxy.call("notify", ())
    }

    /// Tells all that wait.
    ///
    /// # Errors
    ///
    /// Those of [`notify`](Self::notify).
    pub fn notify_all(&self) -> Result<(), ManagerError> {
        self.proxy.call("notify_all", ())
    }
}

proxy_type! {
    /// A flag in a manager's server: Python's `manager.Event()`.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    /// let ready = manager.event()?; // of a manager that is started or connected
    /// ready.set()?;
    /// ready.wait()?; // returns at once
    /// # drop(ready);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    EventProxy as "EventProxy"
}

impl EventProxy {
    /// Raises the flag and wakes everybody who waits.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn set(&self) -> Result<(), ManagerError> {
        self.proxy.call("set", ())
    }

    /// Lowers the flag.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn clear(&self) -> Result<(), ManagerError> {
        self.proxy.call("clear", ())
    }

    /// Whether the flag is up.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn is_set(&self) -> Result<bool, ManagerError> {
        self.proxy.call("is_set", ())
    }

    /// Waits until the flag is up.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn wait(&self) -> Result<(), ManagerError> {
        self.proxy.call("wait", ())
    }

    /// [`wait`](Self::wait) for at most this long. Returns whether the flag went up.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, ManagerError> {
        self.proxy.call("wait", (timeout.as_secs_f64(),))
    }
}

proxy_type! {
    /// A meeting point in a manager's server: Python's `manager.Barrier()`.
    ///
    /// A client that dies while it waits breaks the barrier: the others get
    /// [`ManagerError::Raised`] with a `BrokenBarrierError`.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    /// let barrier = manager.barrier(1)?; // of a manager that is started or connected
    /// assert_eq!(barrier.wait()?, 0);
    /// # drop(barrier);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    BarrierProxy as "BarrierProxy"
}

impl BarrierProxy {
    /// Waits for the others. Returns this one's place among them, from 0.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] where the barrier is broken.
    pub fn wait(&self) -> Result<usize, ManagerError> {
        self.proxy.call("wait", ())
    }

    /// [`wait`](Self::wait) for at most this long, after which the barrier is broken.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, ManagerError> {
        self.proxy.call("wait", (timeout.as_secs_f64(),))
    }

    /// Breaks the barrier.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn abort(&self) -> Result<(), ManagerError> {
        self.proxy.call("abort", ())
    }

    /// Mends the barrier. Who waits at the moment finds it broken.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn reset(&self) -> Result<(), ManagerError> {
        self.proxy.call("reset", ())
    }

    /// How many clients meet.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn parties(&self) -> Result<usize, ManagerError> {
        self.proxy.call("__getattribute__", ("parties",))
    }

    /// How many wait at the moment.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn n_waiting(&self) -> Result<usize, ManagerError> {
        self.proxy.call("__getattribute__", ("n_waiting",))
    }

    /// Whether it is broken.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn broken(&self) -> Result<bool, ManagerError> {
        self.proxy.call("__getattribute__", ("broken",))
    }
}
