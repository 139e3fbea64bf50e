//! `Barrier`

use std::sync::{Arc, OnceLock};

use super::waiting::{Monitor, gone};
use crate::managers::convert::{Arguments, required, seconds, timeout};
use crate::managers::managed::{Caller, Managed, Reply, Unmet, no_method};
use crate::managers::pickle::{Exception, Value};

/// A point that all clients reach before any goes on. One that vanishes while it waits
/// breaks it for the others.
#[derive(Debug)]
pub(super) struct Barrier {
    parties: usize,
    /// How long a `wait` may take that does not say.
    timeout: Option<f64>,
    meeting: Monitor<Meeting>,
}

#[derive(Debug, Default)]
struct Meeting {
    arrived: usize,
    /// From an abort to a reset.
    broken: bool,
    /// How the present meeting ends, for those who wait for it; the next has another.
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
        // Every meeting is ended once: it is replaced here.
        let _first = std::mem::take(&mut self.end).set(end);
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
        let parties = required::<i64>(parties, "parties")?;
        let parties = usize::try_from(parties).ok().filter(|&parties| parties > 0);
        Ok(Self {
            parties: parties
                .ok_or_else(|| Exception::value_error("parties must be > 0"))?,
            timeout: timeout(time)?,
            meeting: Monitor::new(Meeting::default()),
        })
    }

    fn wait(&self, caller: &Caller, time: Option<f64>) -> Result<usize, Exception> {
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
        let time = time.or(self.timeout).and_then(seconds);
        let waited = self.meeting.wait(caller, time, |_| end.get().copied());
        let end = match waited {
            Ok(end) => end,
            // Whoever gives up or is gone takes the others' meeting with it, unless it
            // ended in between.
            Err(_) => self.meeting.change(|meeting| {
                if Arc::ptr_eq(&meeting.end, &end) {
                    meeting.break_up();
                }
                end.get().copied().unwrap_or(End::Broken)
            }),
        };
        match (end, waited) {
            (_, Err(Unmet::Gone)) => Err(gone()),
            (End::Met, _) => Ok(place),
            (End::Broken, _) => Err(broken()),
        }
    }
}

fn broken() -> Exception {
    Exception::new("threading", "BrokenBarrierError", Vec::new())
}

impl Managed for Barrier {
    fn methods(&self) -> &[&'static str] {
        &["__getattribute__", "wait", "abort", "reset"]
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        caller: &Caller,
    ) -> Result<Reply, Exception> {
        match method {
            "wait" => {
                let [time] = args.bind(method, ["timeout"])?;
                self.wait(caller, timeout(time)?).map(Reply::from)
            }
            "abort" => {
                self.meeting.change(Meeting::break_up);
                Ok(().into())
            }
            "reset" => {
                self.meeting.change(|meeting| {
                    meeting.finish(End::Broken);
                    meeting.broken = false;
                });
                Ok(().into())
            }
            "__getattribute__" => {
                let (name,) = args.parse::<(String,)>(method)?;
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
            _ => Err(no_method(method)),
        }
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
