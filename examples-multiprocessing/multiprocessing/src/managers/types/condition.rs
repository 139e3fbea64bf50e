//! `Condition`

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::lock::{Kind, Lock};
use super::waiting::{Monitor, gone};
use crate::managers::convert::{Arguments, optional, seconds, timeout};
use crate::managers::managed::{Caller, Managed, Reply, no_method};
use crate::managers::pickle::{Exception, Value};

/// Clients that wait for each other's news under a lock.
#[derive(Debug)]
pub(super) struct Condition {
    lock: Arc<Lock>,
    waiters: Monitor<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    /// Who waits, the oldest first.
    waiting: VecDeque<u64>,
    /// Who was told and has not yet gone on.
    told: Vec<u64>,
    next: u64,
}

impl Waiters {
    fn notify(&mut self, count: usize) {
        let count = count.min(self.waiting.len());
        self.told.extend(self.waiting.drain(..count));
    }

    /// Whether this one was told; it has gone on then.
    fn was_told(&mut self, waiter: u64) -> bool {
        let place = self.told.iter().position(|&told| told == waiter);
        place.map(|place| self.told.swap_remove(place)).is_some()
    }
}

impl Condition {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let [lock] = args.bind("Condition", ["lock"])?;
        let lock = match lock {
            None | Some(Value::None) => Arc::new(Lock::new(Kind::Reentrant)),
            Some(Value::Proxy(proxy)) => {
                let object: Option<Arc<dyn Any + Send + Sync>> =
                    proxy.managed().map(|managed| Arc::clone(managed) as _);
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

    /// Leaves the line. Returns whether somebody has told this waiter.
    fn leave(&self, waiter: u64) -> bool {
        self.waiters.change(|waiters| {
            waiters.waiting.retain(|&waiting| waiting != waiter);
            waiters.was_told(waiter)
        })
    }

    /// What somebody was told who cannot go on with it is the next one's news.
    fn pass_on(&self) {
        self.waiters.change(|waiters| waiters.notify(1));
    }

    /// Returns whether somebody told it.
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
        // In line before the lock is free: what is told from now on is not missed.
        let Some(held) = self.lock.give_up() else {
            // Anybody may release a plain lock, and somebody just did.
            if self.leave(waiter) {
                self.pass_on();
            }
            return Err(not_held("wait"));
        };
        let told = self.waiters.wait(caller, timeout, |waiters| {
            waiters.was_told(waiter).then_some(())
        });
        // One that was told between its last look and its end was told all the same.
        let told_late = self.leave(waiter);
        let told = told.is_ok() || told_late;
        if caller.is_gone() || self.lock.retake(caller, held).is_err() {
            if told {
                self.pass_on();
            }
            return Err(gone());
        }
        Ok(told)
    }

    fn notify(&self, caller: &Caller, count: usize) -> Result<(), Exception> {
        self.check_lock(caller, "notify")?;
        self.waiters.change(|waiters| waiters.notify(count));
        Ok(())
    }
}

fn not_held(what: &str) -> Exception {
    Exception::runtime_error(format!("cannot {what} on un-acquired lock"))
}

impl Managed for Condition {
    fn methods(&self) -> &[&'static str] {
        &["acquire", "release", "wait", "notify", "notify_all"]
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        caller: &Caller,
    ) -> Result<Reply, Exception> {
        match method {
            "acquire" => self.lock.call_acquire(args, caller),
            "release" => {
                args.parse::<()>(method)?;
                self.lock.release(caller).map(Reply::from)
            }
            "wait" => {
                let [time] = args.bind(method, ["timeout"])?;
                let time = timeout(time)?.and_then(seconds);
                self.wait(caller, time).map(Reply::from)
            }
            "notify" => {
                let [count] = args.bind(method, ["n"])?;
                let count = usize::try_from(optional::<i64>(count, 1)?);
                self.notify(caller, count.unwrap_or(0)).map(Reply::from)
            }
            "notify_all" => {
                args.parse::<()>(method)?;
                self.notify(caller, usize::MAX).map(Reply::from)
            }
            _ => Err(no_method(method)),
        }
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
