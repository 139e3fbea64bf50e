//! The proxies of locks and of other objects that clients wait for.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use super::proxy_type;
use crate::managers::{ManagerError, Proxy, Value};

proxy_type! {
    /// A lock in a manager's server: Python's `manager.Lock()` and `manager.RLock()`.
    ///
    /// It is held by a thread of a client. When that thread ends, or its process dies, the
    /// lock is released; the next holder does not learn of it. Any client may release a
    /// plain lock. Only its owner may release a re-entrant one, and take it again.
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
    /// The permits of a client that ends or dies come back, unless some client has released
    /// a permit that it never acquired: then the semaphore counts events, and nothing comes
    /// back.
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
    /// Clients that wait, with a lock, to be notified: Python's `manager.Condition()`.
    ///
    /// A notification to a client that has died goes to the next one.
    ///
    /// ```
    /// # use multiprocessing::managers::SyncManager;
    /// # use std::time::Duration;
    /// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
    /// # let mut manager = SyncManager::new(server.address(), b"abc");
    /// # std::thread::spawn(move || server.serve_forever());
    /// # manager.connect()?;
    /// let condition = manager.condition(None)?; // of a manager that is started or connected
    /// let held = condition.lock()?;
    /// assert!(!condition.wait_timeout(Duration::from_millis(1))?);
    /// condition.notify_all()?;
    /// drop(held);
    /// # drop(condition);
    /// # manager.shutdown()?;
    /// # Ok::<(), multiprocessing::managers::ManagerError>(())
    /// ```
    ConditionProxy as "ConditionProxy"
}

macro_rules! acquirer {
    ($name:ident) => {
        impl $name {
            /// Acquires it, however long that takes. [`release`](Self::release) gives
            /// it back.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn acquire(&self) -> Result<(), ManagerError> {
                self.proxy.call("acquire", ())
            }

            /// Acquires it if that is possible at once. Returns whether it was.
            ///
            /// # Errors
            ///
            /// [`ManagerError`].
            pub fn try_acquire(&self) -> Result<bool, ManagerError> {
                self.proxy.call("acquire", (false,))
            }

            /// Acquires it, waiting for at most this long. Returns whether it was.
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
            /// [`ManagerError::Raised`] if this client may not release it.
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

/// Something acquired, given back when this is dropped.
///
/// Made by [`LockProxy::lock`]; its example is there.
#[derive(Debug)]
#[must_use = "it is given back at once if it is not kept"]
pub struct HeldLock<'a> {
    proxy: &'a Proxy,
    /// The server takes the thread, which has a connection of its own, for the holder.
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for HeldLock<'_> {
    fn drop(&mut self) {
        // It fails if the server has ended, and the lock with it.
        self.proxy.call::<()>("release", ()).ok();
    }
}

impl ConditionProxy {
    /// Releases the lock, waits for a notification, and takes the lock again.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] if the caller does not hold the lock.
    pub fn wait(&self) -> Result<(), ManagerError> {
        self.proxy.call("wait", ())
    }

    /// [`wait`](Self::wait) for at most this long. Returns whether it was
    /// notified.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, ManagerError> {
        self.proxy.call("wait", (timeout.as_secs_f64(),))
    }

    /// Waits until this is true. It is called with the lock held.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_for(
        &self,
        mut predicate: impl FnMut() -> Result<bool, ManagerError>,
    ) -> Result<(), ManagerError> {
        // A notification between the check and the wait is not lost: to notify needs the
        // lock, which only waiting releases.
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

    /// Wakes one client that waits.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Raised`] if the caller does not hold the lock.
    pub fn notify(&self) -> Result<(), ManagerError> {
        self.proxy.call("notify", ())
    }

    /// Wakes all clients that wait.
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
    /// Sets the flag and wakes all clients that wait.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn set(&self) -> Result<(), ManagerError> {
        self.proxy.call("set", ())
    }

    /// Clears the flag.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn clear(&self) -> Result<(), ManagerError> {
        self.proxy.call("clear", ())
    }

    /// Whether the flag is set.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn is_set(&self) -> Result<bool, ManagerError> {
        self.proxy.call("is_set", ())
    }

    /// Waits until the flag is set.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn wait(&self) -> Result<(), ManagerError> {
        self.proxy.call("wait", ())
    }

    /// [`wait`](Self::wait) for at most this long. Returns whether the flag was
    /// set.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, ManagerError> {
        self.proxy.call("wait", (timeout.as_secs_f64(),))
    }
}

proxy_type! {
    /// A barrier in a manager's server: Python's `manager.Barrier()`.
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
    /// [`ManagerError::Raised`] if the barrier is broken.
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

    /// Makes the barrier usable again. Clients that wait at the moment find it broken.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn reset(&self) -> Result<(), ManagerError> {
        self.proxy.call("reset", ())
    }

    /// The number of clients that meet.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn parties(&self) -> Result<usize, ManagerError> {
        self.proxy.call("__getattribute__", ("parties",))
    }

    /// The number of clients that wait at the moment.
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
