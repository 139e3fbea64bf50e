//! `Lock` and `RLock`, held by clients.

use std::sync::Arc;
use std::time::Duration;

use super::containers::is_true;
use super::waiting::{Monitor, gone, number_of_seconds, within_clock};
use super::{Call, Outcome, methods};
use crate::managers::managed::{Caller, Managed, Reply, WaitError};
use crate::managers::pickle::Exception;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any client may release it.
    Plain,
    /// Only its owner may release it, and may take it again.
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
    /// The number of times it has taken the lock.
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
    ) -> Result<(), WaitError> {
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

    pub(super) fn retake(
        &self,
        caller: &Caller,
        held: Holder,
    ) -> Result<(), WaitError> {
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
    pub(super) fn call_acquire(&self, call: Call) -> Outcome {
        let caller = call.caller;
        let timeout = acquire_timeout(call)?;
        acquired(self.acquire(caller, timeout))
    }

    pub(super) fn call_release(&self, call: Call) -> Outcome {
        let caller = call.caller;
        call.parse::<()>()?;
        self.release(caller).map(Reply::from)
    }

    fn acquire_method(self: &Arc<Self>, call: Call) -> Outcome {
        self.call_acquire(call)
    }

    fn release_method(self: &Arc<Self>, call: Call) -> Outcome {
        self.call_release(call)
    }
}

/// How long an `acquire` of a lock may wait, from Python's two ways to say so.
fn acquire_timeout(call: Call) -> Result<Option<Duration>, Exception> {
    let [blocking, time] = call.bind(["blocking", "timeout"])?;
    let blocking = blocking.as_ref().is_none_or(is_true);
    let time = time.map_or(Ok(-1.0), number_of_seconds)?;
    // -1 is Python's way to say: for ever.
    let for_ever = time.to_bits() == (-1.0_f64).to_bits();
    if !blocking && !for_ever {
        return Err(Exception::value_error(
            "can't specify a timeout for a non-blocking call",
        ));
    }
    if time < 0.0 && !for_ever {
        return Err(Exception::value_error(
            "timeout value must be a non-negative number",
        ));
    }
    match (blocking, for_ever) {
        (false, _) => Ok(Some(Duration::ZERO)),
        (true, true) => Ok(None),
        (true, false) => within_clock(time).map(Some),
    }
}

pub(super) fn acquired(acquired: Result<(), WaitError>) -> Outcome {
    match acquired {
        Ok(()) => Ok(true.into()),
        Err(WaitError::TimedOut) => Ok(false.into()),
        Err(WaitError::Gone) => Err(gone()),
    }
}

fn not_the_owner() -> Exception {
    Exception::runtime_error("cannot release un-acquired lock")
}

impl Managed for Lock {
    methods! {
        "acquire" => Self::acquire_method,
        "release" => Self::release_method,
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
