//! `Lock` and `RLock`, held by clients.

use std::sync::Arc;
use std::time::Duration;

use super::waiting::{Monitor, gone};
use crate::managers::convert::{Arguments, optional, seconds, timeout};
use crate::managers::managed::{Caller, Managed, Reply, Unmet, no_method};
use crate::managers::pickle::{Exception, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anybody may release it.
    Plain,
    /// Only its owner may, who may take it again.
    Reentrant,
}

/// A lock that is free again when the client that holds it ends or dies.
#[derive(Debug)]
pub(super) struct Lock {
    kind: Kind,
    holder: Monitor<Option<Holder>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    caller: u64,
    /// How often it has taken the lock.
    level: usize,
}

impl Lock {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            holder: Monitor::new(None),
        }
    }

    /// Takes the lock, or one level more of it.
    pub(super) fn acquire(
        &self,
        caller: &Caller,
        timeout: Option<Duration>,
    ) -> Result<(), Unmet> {
        self.holder.wait(caller, timeout, |holder| match holder {
            None => {
                *holder = Some(Holder {
                    caller: caller.id(),
                    level: 1,
                });
                Some(())
            }
            Some(held)
                if self.kind == Kind::Reentrant && held.caller == caller.id() =>
            {
                held.level += 1;
                Some(())
            }
            Some(_) => None,
        })
    }

    pub(super) fn release(&self, caller: &Caller) -> Result<(), Exception> {
        self.holder
            .change(|holder| match (holder.as_mut(), self.kind) {
                (None, Kind::Plain) => {
                    Err(Exception::runtime_error("release unlocked lock"))
                }
                (None, Kind::Reentrant) => Err(not_the_owner()),
                (Some(held), Kind::Reentrant) if held.caller != caller.id() => {
                    Err(not_the_owner())
                }
                (Some(held), _) => {
                    held.level -= 1;
                    if held.level == 0 {
                        *holder = None;
                    }
                    Ok(())
                }
            })
    }

    /// Whether this client may wait for a condition of this lock.
    pub(super) fn is_held_by(&self, caller: &Caller) -> bool {
        self.holder.lock().is_some_and(|held| {
            self.kind == Kind::Plain || held.caller == caller.id()
        })
    }

    /// Gives up all levels, for [`retake`](Self::retake).
    pub(super) fn give_up(&self) -> Option<Holder> {
        self.holder.change(Option::take)
    }

    pub(super) fn retake(&self, caller: &Caller, held: Holder) -> Result<(), Unmet> {
        self.acquire(caller, None)?;
        self.holder.change(|holder| {
            *holder = Some(Holder {
                caller: caller.id(),
                ..held
            });
        });
        Ok(())
    }

    pub(super) fn forget(&self, caller: u64) {
        self.holder.change(|holder| {
            if holder.is_some_and(|held| held.caller == caller) {
                *holder = None;
            }
        });
    }

    /// `acquire(blocking=True, timeout=-1)`
    pub(super) fn call_acquire(
        &self,
        args: Arguments,
        caller: &Caller,
    ) -> Result<Reply, Exception> {
        let timeout = acquire_timeout(args)?;
        acquired(self.acquire(caller, timeout))
    }
}

/// How long an `acquire` may wait, from Python's two ways to say so.
pub(super) fn acquire_timeout(
    args: Arguments,
) -> Result<Option<Duration>, Exception> {
    let [blocking, time] = args.bind("acquire", ["blocking", "timeout"])?;
    let blocking = match blocking {
        Some(Value::Int(number)) => number != 0,
        blocking => optional(blocking, true)?,
    };
    match (blocking, timeout(time)?) {
        // Python's way of saying: for ever.
        (true, None | Some(-1.0)) => Ok(None),
        (true, Some(time)) if time < 0.0 => Err(Exception::value_error(
            "timeout value must be a non-negative number",
        )),
        (true, Some(time)) => Ok(seconds(time)),
        (false, None | Some(-1.0)) => Ok(Some(Duration::ZERO)),
        (false, Some(_)) => Err(Exception::value_error(
            "can't specify a timeout for a non-blocking call",
        )),
    }
}

pub(super) fn acquired(acquired: Result<(), Unmet>) -> Result<Reply, Exception> {
    match acquired {
        Ok(()) => Ok(true.into()),
        Err(Unmet::TimedOut) => Ok(false.into()),
        Err(Unmet::Gone) => Err(gone()),
    }
}

fn not_the_owner() -> Exception {
    Exception::runtime_error("cannot release un-acquired lock")
}

impl Managed for Lock {
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
            "acquire" => self.call_acquire(args, caller),
            "release" => {
                args.parse::<()>(method)?;
                self.release(caller).map(Reply::from)
            }
            _ => Err(no_method(method)),
        }
    }

    fn repr(&self) -> String {
        let state = match *self.holder.lock() {
            Some(_) => "locked",
            None => "unlocked",
        };
        match self.kind {
            Kind::Plain => format!("<{state} lock>"),
            Kind::Reentrant => format!("<{state} re-entrant lock>"),
        }
    }

    fn belongs_to_callers(&self) -> bool {
        true
    }

    fn forget(&self, caller: u64) {
        self.forget(caller);
    }
}
