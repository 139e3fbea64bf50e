//! `Event`

use std::sync::Arc;

use super::waiting::{Monitor, gone, timeout};
use super::{Call, Outcome, methods};
use crate::managers::managed::{Managed, WaitError};

/// A flag that clients wait for.
#[derive(Debug, Default)]
pub(super) struct Event {
    flag: Monitor<Flag>,
}

#[derive(Debug, Default)]
struct Flag {
    up: bool,
    /// The number of times it was set: a client that waited then continues even if the
    /// flag has been cleared again.
    times_set: u64,
}

impl Event {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn is_set(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        Ok(self.flag.lock().up.into())
    }

    fn set(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        self.flag.change(|flag| {
            flag.up = true;
            flag.times_set += 1;
        });
        Ok(().into())
    }

    fn clear(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        self.flag.lock().up = false;
        Ok(().into())
    }

    fn wait(self: &Arc<Self>, call: Call) -> Outcome {
        let caller = call.caller;
        let [time] = call.bind(["timeout"])?;
        let at_entry = {
            let flag = self.flag.lock();
            if flag.up {
                // As in Python, before the time-out is even looked at.
                return Ok(true.into());
            }
            flag.times_set
        };
        let waited = self.flag.wait(caller, timeout(time)?, |flag| {
            (flag.up || flag.times_set != at_entry).then_some(())
        });
        match waited {
            Ok(()) => Ok(true.into()),
            Err(WaitError::TimedOut) => Ok(false.into()),
            Err(WaitError::Gone) => Err(gone()),
        }
    }
}

impl Managed for Event {
    methods! {
        "is_set" => Self::is_set,
        "set" => Self::set,
        "clear" => Self::clear,
        "wait" => Self::wait,
    }

    fn repr(&self) -> String {
        let state = if self.flag.lock().up { "set" } else { "unset" };
        format!("<Event: {state}>")
    }
}
