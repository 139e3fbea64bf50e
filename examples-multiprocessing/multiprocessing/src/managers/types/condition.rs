//! `Condition`

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::containers::integer;
use super::lock::{Kind, Lock};
use super::waiting::{Monitor, gone, timeout};
use super::{Call, Outcome, methods};
use crate::managers::convert::Arguments;
use crate::managers::managed::{Caller, Managed, Reply};
use crate::managers::pickle::{Exception, Value};
use crate::managers::server::target_of;

/// Clients that wait, with a lock, to be notified.
#[derive(Debug)]
pub(super) struct Condition {
    lock: Arc<Lock>,
    waiters: Monitor<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    /// Those that wait, the oldest first.
    waiting: VecDeque<u64>,
    /// Those that were notified and have not yet continued.
    notified: Vec<u64>,
    next: u64,
}

impl Waiters {
    fn notify(&mut self, count: usize) {
        let count = count.min(self.waiting.len());
        self.notified.extend(self.waiting.drain(..count));
    }

    /// Whether this one was notified. If so, it counts as having continued.
    fn was_notified(&mut self, waiter: u64) -> bool {
        let notified = &mut self.notified;
        let place = notified.iter().position(|&notified| notified == waiter);
        place.map(|place| notified.swap_remove(place)).is_some()
    }
}

impl Condition {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let [lock] = args.bind("Condition", ["lock"])?;
        let lock = match lock {
            None | Some(Value::None) => Arc::new(Lock::new(Kind::Reentrant)),
            Some(Value::Proxy(proxy)) => {
                let object: Option<Arc<dyn Any + Send + Sync>> =
                    target_of(&proxy).map(|managed| Arc::clone(managed) as _);
                object
                    .and_then(|object| object.downcast::<Lock>().ok())
                    .ok_or_else(|| {
                        Exception::type_error(
                            "the lock of a condition must live in the same manager",
                        )
                    })?
            }
            Some(other) => {
                return Err(Exception::type_error(format!(
                    "a condition needs a lock, not {}",
                    other.type_name()
                )));
            }
        };
        Ok(Self {
            lock,
            waiters: Monitor::new(Waiters::default()),
        })
    }

    fn check_lock(&self, caller: &Caller, what: &str) -> Result<(), Exception> {
        if self.lock.is_held_by(caller) {
            Ok(())
        } else {
            Err(not_held(what))
        }
    }

    /// Stops waiting. Returns whether this waiter was notified.
    fn leave(&self, waiter: u64) -> bool {
        self.waiters.change(|waiters| {
            waiters.waiting.retain(|&waiting| waiting != waiter);
            waiters.was_notified(waiter)
        })
    }

    /// A notification to a client that cannot act on it goes to the next one.
    fn pass_on(&self) {
        self.waiters.change(|waiters| waiters.notify(1));
    }

    /// Returns whether it was notified.
    fn wait(
        &self,
        caller: &Caller,
        timeout: Option<Duration>,
    ) -> Result<bool, Exception> {
        self.check_lock(caller, "wait")?;
        let waiter = self.waiters.change(|waiters| {
            waiters.next += 1;
            waiters.waiting.push_back(waiters.next);
            waiters.next
        });
        // It waits before the lock is released: no notification from now on is lost.
        let Some(held) = self.lock.give_up() else {
            // Any client may release a plain lock, and one just has.
            if self.leave(waiter) {
                self.pass_on();
            }
            return Err(not_held("wait"));
        };
        let notified = self.waiters.wait(caller, timeout, |waiters| {
            waiters.was_notified(waiter).then_some(())
        });
        // A notification between the last check and the time-out counts.
        let notified_late = self.leave(waiter);
        let notified = notified.is_ok() || notified_late;
        if caller.is_gone() || self.lock.retake(caller, held).is_err() {
            if notified {
                self.pass_on();
            }
            return Err(gone());
        }
        Ok(notified)
    }

    fn notify(&self, caller: &Caller, count: usize) -> Result<(), Exception> {
        self.check_lock(caller, "notify")?;
        self.waiters.change(|waiters| waiters.notify(count));
        Ok(())
    }

    fn acquire_method(self: &Arc<Self>, call: Call) -> Outcome {
        self.lock.call_acquire(call)
    }

    fn release_method(self: &Arc<Self>, call: Call) -> Outcome {
        self.lock.call_release(call)
    }

    fn wait_method(self: &Arc<Self>, call: Call) -> Outcome {
        let caller = call.caller;
        let [time] = call.bind(["timeout"])?;
        self.wait(caller, timeout(time)?).map(Reply::from)
    }

    fn notify_method(self: &Arc<Self>, call: Call) -> Outcome {
        let caller = call.caller;
        let [count] = call.bind(["n"])?;
        let count = count.map_or(Ok(1), |count| integer(&count)?.for_c())?;
        let count = usize::try_from(count).unwrap_or(0);
        self.notify(caller, count).map(Reply::from)
    }

    fn notify_all_method(self: &Arc<Self>, call: Call) -> Outcome {
        let caller = call.caller;
        call.parse::<()>()?;
        self.notify(caller, usize::MAX).map(Reply::from)
    }
}

fn not_held(what: &str) -> Exception {
    Exception::runtime_error(format!("cannot {what} on un-acquired lock"))
}

impl Managed for Condition {
    methods! {
        "acquire" => Self::acquire_method,
        "release" => Self::release_method,
        "wait" => Self::wait_method,
        "notify" => Self::notify_method,
        "notify_all" => Self::notify_all_method,
    }

    fn repr(&self) -> String {
        let waiting = self.waiters.lock().waiting.len();
        format!("<Condition({}, {waiting})>", self.lock.repr())
    }

    fn belongs_to_callers(&self) -> bool {
        true
    }

    fn forget(&self, caller: u64) {
        self.lock.forget(caller);
    }
}
