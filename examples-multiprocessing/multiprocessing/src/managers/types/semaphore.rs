//! `Semaphore` and `BoundedSemaphore`, whose permits clients hold.

use std::collections::HashMap;
use std::sync::Arc;

use super::lock::{acquire_timeout, acquired};
use super::waiting::Monitor;
use crate::managers::convert::{Arguments, optional};
use crate::managers::managed::{Caller, Managed, Reply, no_method};
use crate::managers::pickle::Exception;

/// Permits. Those of a client that ends or dies come back, unless the semaphore is used
/// to count events: by clients that release what they never acquired.
#[derive(Debug)]
pub(super) struct Semaphore {
    /// The most permits there may be, if it is bounded.
    bound: Option<usize>,
    permits: Monitor<Permits>,
}

#[derive(Debug)]
struct Permits {
    free: usize,
    /// How many each client has acquired and not released.
    held: HashMap<u64, usize>,
    /// Whether somebody has released what it never acquired.
    counts_events: bool,
}

impl Semaphore {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let [value] = args.bind("Semaphore", ["value"])?;
        let value = optional::<i64>(value, 1)?;
        let free = usize::try_from(value).map_err(|_| {
            Exception::value_error("semaphore initial value must be >= 0")
        })?;
        Ok(Self {
            bound: None,
            permits: Monitor::new(Permits {
                free,
                held: HashMap::new(),
                counts_events: false,
            }),
        })
    }

    pub(super) fn bounded(args: Arguments) -> Result<Self, Exception> {
        let semaphore = Self::new(args)?;
        let bound = semaphore.permits.lock().free;
        Ok(Self {
            bound: Some(bound),
            ..semaphore
        })
    }

    fn release(&self, count: usize, caller: u64) -> Result<(), Exception> {
        self.permits.change(|permits| {
            let free = permits.free.checked_add(count);
            let free = free.filter(|&free| free <= self.bound.unwrap_or(usize::MAX));
            permits.free = free.ok_or_else(|| {
                Exception::value_error("Semaphore released too many times")
            })?;
            match permits.held.get_mut(&caller) {
                Some(held) if *held > count => *held -= count,
                Some(held) if *held == count => {
                    permits.held.remove(&caller);
                }
                _ => permits.counts_events = true,
            }
            Ok(())
        })
    }
}

impl Managed for Semaphore {
    fn methods(&self) -> &[&'static str] {
        &["acquire", "release"]
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        caller: &Caller,
    ) -> Result<Reply, Exception> {
        match method {
            "acquire" => {
                let timeout = acquire_timeout(args)?;
                acquired(self.permits.wait(caller, timeout, |permits| {
                    permits.free = permits.free.checked_sub(1)?;
                    *permits.held.entry(caller.id()).or_default() += 1;
                    Some(())
                }))
            }
            "release" => {
                let [count] = args.bind(method, ["n"])?;
                let count = usize::try_from(optional::<i64>(count, 1)?);
                let count = count.ok().filter(|&count| count > 0);
                let count = count.ok_or_else(|| {
                    Exception::value_error("n must be one or more")
                })?;
                self.release(count, caller.id()).map(Reply::from)
            }
            _ => Err(no_method(method)),
        }
    }

    fn repr(&self) -> String {
        format!("<Semaphore: {} free>", self.permits.lock().free)
    }

    fn belongs_to_callers(&self) -> bool {
        true
    }

    fn forget(&self, caller: u64) {
        self.permits.change(|permits| {
            let held = permits.held.remove(&caller).unwrap_or(0);
            if !permits.counts_events {
                permits.free += held;
            }
        });
    }
}
