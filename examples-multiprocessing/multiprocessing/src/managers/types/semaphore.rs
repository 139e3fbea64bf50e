//! `Semaphore` and `BoundedSemaphore`, whose permits clients hold.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::containers::{integer, is_true};
use super::lock::acquired;
use super::waiting::{Monitor, timeout};
use super::{Call, Outcome, methods};
use crate::managers::convert::Arguments;
use crate::managers::managed::{Managed, Reply};
use crate::managers::pickle::Exception;

/// Permits. Those of a client that ends or dies come back, unless the semaphore counts
/// events, as shown by clients that release permits they never acquired.
#[derive(Debug)]
pub(super) struct Semaphore {
    /// The most permits there may be, if it is bounded.
    bound: Option<usize>,
    permits: Monitor<Permits>,
}

#[derive(Debug)]
struct Permits {
    free: usize,
    /// The number that each client has acquired and not released.
    held: HashMap<u64, usize>,
    /// Whether a client has released a permit that it never acquired.
    counts_events: bool,
}

impl Semaphore {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let [value] = args.bind("Semaphore", ["value"])?;
        let value = value.map_or(Ok(1), |value| integer(&value)?.for_c())?;
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

    fn acquire(self: &Arc<Self>, call: Call) -> Outcome {
        let caller = call.caller;
        let [blocking, time] = call.bind(["blocking", "timeout"])?;
        let blocking = blocking.as_ref().is_none_or(is_true);
        let timeout = match (blocking, timeout(time)?) {
            (true, timeout) => timeout,
            (false, None) => Some(Duration::ZERO),
            (false, Some(_)) => {
                return Err(Exception::value_error(
                    "can't specify timeout for non-blocking acquire",
                ));
            }
        };
        acquired(self.permits.wait(caller, timeout, |permits| {
            permits.free = permits.free.checked_sub(1)?;
            *permits.held.entry(caller.id()).or_default() += 1;
            Some(())
        }))
    }

    fn release_method(self: &Arc<Self>, call: Call) -> Outcome {
        let caller = call.caller;
        let [count] = call.bind(["n"])?;
        let count = count.map_or(Ok(1), |count| integer(&count)?.for_c())?;
        let count = usize::try_from(count).ok().filter(|&count| count > 0);
        let count =
            count.ok_or_else(|| Exception::value_error("n must be one or more"))?;
        self.release(count, caller.id()).map(Reply::from)
    }
}

impl Managed for Semaphore {
    methods! {
        "acquire" => Self::acquire,
        "release" => Self::release_method,
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
