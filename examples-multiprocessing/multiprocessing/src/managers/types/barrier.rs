//! `Barrier`

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::containers::integer;
use super::waiting::{Monitor, gone, timeout};
use super::{Call, Outcome, methods};
use crate::managers::convert::{Arguments, required};
use crate::managers::managed::{Caller, Managed, Reply, WaitError};
use crate::managers::pickle::{Exception, Value};

/// A point that all clients reach before any continues. A client that vanishes while it
/// waits breaks it for the others.
#[derive(Debug)]
pub(super) struct Barrier {
    parties: usize,
    /// How long a `wait` without a time-out of its own may take.
    timeout: Option<Duration>,
    meeting: Monitor<Meeting>,
}

#[derive(Debug, Default)]
struct Meeting {
    arrived: usize,
    /// From an abort to a reset.
    broken: bool,
    /// How the present meeting ends, for the clients that wait for it. The next meeting
    /// has another.
    end: Arc<OnceLock<End>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Met,
    Broken,
}

impl Meeting {
    /// Ends the present meeting and begins the next.
    fn finish(&mut self, end: End) {
        // It cannot fail: a meeting is replaced when it ends, so it ends once.
        std::mem::take(&mut self.end).set(end).ok();
        self.arrived = 0;
    }

    fn break_up(&mut self) {
        self.broken = true;
        self.finish(End::Broken);
    }
}

impl Barrier {
    pub(super) fn new(args: Arguments) -> Result<Self, Exception> {
        let [parties, action, time] =
            args.bind("Barrier", ["parties", "action", "timeout"])?;
        if action.is_some_and(|action| action != Value::None) {
            return Err(Exception::type_error(
                "an action cannot be sent to a manager",
            ));
        }
        let parties = integer(&required(parties, "parties")?)?.for_c()?;
        let parties = usize::try_from(parties).ok().filter(|&parties| parties > 0);
        Ok(Self {
            parties: parties
                .ok_or_else(|| Exception::value_error("parties must be > 0"))?,
            timeout: timeout(time)?,
            meeting: Monitor::new(Meeting::default()),
        })
    }

    fn wait(
        &self,
        caller: &Caller,
        time: Option<Duration>,
    ) -> Result<usize, Exception> {
        let (place, end) = self.meeting.change(|meeting| {
            if meeting.broken {
                return Err(broken());
            }
            let place = meeting.arrived;
            let end = Arc::clone(&meeting.end);
            meeting.arrived += 1;
            if meeting.arrived == self.parties {
                meeting.finish(End::Met);
            }
            Ok((place, end))
        })?;
        let time = time.or(self.timeout);
        let waited = self.meeting.wait(caller, time, |_| end.get().copied());
        let end = match waited {
            Ok(end) => end,
            // A party that times out or disconnects breaks the barrier for the others,
            // unless the barrier has just been passed.
            Err(_) => self.meeting.change(|meeting| {
                if Arc::ptr_eq(&meeting.end, &end) {
                    meeting.break_up();
                }
                end.get().copied().unwrap_or(End::Broken)
            }),
        };
        match (end, waited) {
            (_, Err(WaitError::Gone)) => Err(gone()),
            (End::Met, _) => Ok(place),
            (End::Broken, _) => Err(broken()),
        }
    }
}

impl Barrier {
    fn wait_method(self: &Arc<Self>, call: Call) -> Outcome {
        let caller = call.caller;
        let [time] = call.bind(["timeout"])?;
        self.wait(caller, timeout(time)?).map(Reply::from)
    }

    fn abort(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        self.meeting.change(Meeting::break_up);
        Ok(().into())
    }

    fn reset(self: &Arc<Self>, call: Call) -> Outcome {
        call.parse::<()>()?;
        self.meeting.change(|meeting| {
            meeting.finish(End::Broken);
            meeting.broken = false;
        });
        Ok(().into())
    }

    fn attribute(self: &Arc<Self>, call: Call) -> Outcome {
        let (name,) = call.parse::<(String,)>()?;
        let meeting = self.meeting.lock();
        match name.as_str() {
            "parties" => Ok(self.parties.into()),
            "n_waiting" => Ok(meeting.arrived.into()),
            "broken" => Ok(meeting.broken.into()),
            _ => Err(Exception::attribute_error(format!(
                "'Barrier' object has no attribute '{name}'"
            ))),
        }
    }
}

fn broken() -> Exception {
    Exception::new("threading", "BrokenBarrierError", Vec::new())
}

impl Managed for Barrier {
    methods! {
        "__getattribute__" => Self::attribute,
        "wait" => Self::wait_method,
        "abort" => Self::abort,
        "reset" => Self::reset,
    }

    fn repr(&self) -> String {
        let meeting = self.meeting.lock();
        let (arrived, parties) = (meeting.arrived, self.parties);
        if meeting.broken {
            "<Barrier: broken>".into()
        } else {
            format!("<Barrier: waiters={arrived}/{parties}>")
        }
    }
}
