//! `Event`

use std::sync::Arc;

use super::waiting::{Monitor, gone};
use crate::managers::convert::{Arguments, seconds, timeout};
use crate::managers::managed::{Caller, Managed, Reply, Unmet, no_method};
use crate::managers::pickle::Exception;

/// A flag that clients wait for.
#[derive(Debug, Default)]
pub(super) struct Event {
    flag: Monitor<Flag>,
}

#[derive(Debug, Default)]
struct Flag {
    up: bool,
    /// How often it went up: who waited then goes on even where it is down again.
    times_set: u64,
}

impl Event {
    pub(super) fn new() -> Self {
        Self::default()
    }
}

impl Managed for Event {
    fn methods(&self) -> &[&'static str] {
        &["is_set", "set", "clear", "wait"]
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        caller: &Caller,
    ) -> Result<Reply, Exception> {
        match method {
            "is_set" => Ok(self.flag.lock().up.into()),
            "set" => {
                self.flag.change(|flag| {
                    flag.up = true;
                    flag.times_set += 1;
                });
                Ok(().into())
            }
            "clear" => {
                self.flag.lock().up = false;
                Ok(().into())
            }
            "wait" => {
                let [time] = args.bind(method, ["timeout"])?;
                let time = timeout(time)?.and_then(seconds);
                let at_entry = self.flag.lock().times_set;
                let waited = self.flag.wait(caller, time, |flag| {
                    (flag.up || flag.times_set != at_entry).then_some(())
                });
                match waited {
                    Ok(()) => Ok(true.into()),
                    Err(Unmet::TimedOut) => Ok(false.into()),
                    Err(Unmet::Gone) => Err(gone()),
                }
            }
            _ => Err(no_method(method)),
        }
    }

    fn repr(&self) -> String {
        let state = if self.flag.lock().up { "set" } else { "unset" };
        format!("<Event: {state}>")
    }
}
