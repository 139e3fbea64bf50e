//! `queue.Queue`: the threading section's own queue, of values.

use std::sync::Arc;

use ::queue::{GetError, PutError, Queue};

use super::waiting::gone;
use crate::managers::convert::{Arguments, optional, required, seconds, timeout};
use crate::managers::managed::{Caller, Managed, Reply, Unmet, no_method};
use crate::managers::pickle::{Exception, Value};

/// A queue of values can be managed as it is. What is got on behalf of a client that
/// has died in the meantime goes back to where it was.
impl Managed for Queue<Value> {
    fn methods(&self) -> &[&'static str] {
        &[
            "empty",
            "full",
            "get",
            "get_nowait",
            "join",
            "put",
            "put_nowait",
            "qsize",
            "shutdown",
            "task_done",
        ]
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        caller: &Caller,
    ) -> Result<Reply, Exception> {
        match method {
            "put" => {
                let [item, block, time] =
                    args.bind("put", ["item", "block", "timeout"])?;
                put(&self, required(item, "item")?, wait(block, time)?, caller)
            }
            "put_nowait" => {
                let [item] = args.bind("put_nowait", ["item"])?;
                put(&self, required(item, "item")?, Some(0.0), caller)
            }
            "get" => {
                let [block, time] = args.bind("get", ["block", "timeout"])?;
                get(&self, wait(block, time)?, caller)
            }
            "get_nowait" => {
                args.parse::<()>("get_nowait")?;
                get(&self, Some(0.0), caller)
            }
            "task_done" => {
                args.parse::<()>("task_done")?;
                self.task_done().map(Reply::from).map_err(|_| {
                    Exception::value_error("task_done() called too many times")
                })
            }
            "join" => {
                args.parse::<()>("join")?;
                caller
                    .wait(None, |patience| self.join_timeout(patience).then_some(()))
                    .map(Reply::from)
                    .map_err(|_| gone())
            }
            "qsize" => Ok(self.qsize().into()),
            "empty" => Ok(self.empty().into()),
            "full" => Ok(self.full().into()),
            "shutdown" => {
                let [immediate] = args.bind("shutdown", ["immediate"])?;
                if optional(immediate, false)? {
                    drop(self.shutdown_immediate());
                } else {
                    self.shutdown();
                }
                Ok(().into())
            }
            _ => Err(no_method(method)),
        }
    }
}

/// How many seconds to wait at most, from Python's `block` and `timeout`.
fn wait(
    block: Option<Value>,
    time: Option<Value>,
) -> Result<Option<f64>, Exception> {
    // Python takes anything for a truth value; these are what programs give.
    let block = match block {
        None => true,
        Some(Value::Int(number)) => number != 0,
        Some(Value::None) => false,
        block => optional(block, true)?,
    };
    let time = timeout(time)?;
    match time {
        _ if !block => Ok(Some(0.0)),
        Some(time) if time < 0.0 => Err(Exception::value_error(
            "'timeout' must be a non-negative number",
        )),
        time => Ok(time),
    }
}

fn put(
    queue: &Queue<Value>,
    item: Value,
    time: Option<f64>,
    caller: &Caller,
) -> Result<Reply, Exception> {
    let mut item = Some(item);
    let put = caller.wait(time.and_then(seconds), |patience| {
        match queue.put_timeout(item.take()?, patience) {
            Ok(()) => Some(Ok(())),
            Err(PutError::Full(back)) => {
                item = Some(back);
                None
            }
            Err(PutError::ShutDown(_)) => Some(Err(shut_down())),
        }
    });
    match put {
        Ok(put) => put.map(Reply::from),
        Err(Unmet::TimedOut) => Err(Exception::new("queue", "Full", Vec::new())),
        Err(Unmet::Gone) => Err(gone()),
    }
}

fn get(
    queue: &Arc<Queue<Value>>,
    time: Option<f64>,
    caller: &Caller,
) -> Result<Reply, Exception> {
    let got = caller.wait(time.and_then(seconds), |patience| {
        // Over TCP a dead client would not refuse it.
        match queue.get_timeout_if(patience, || !caller.is_gone()) {
            Ok(Some(item)) => Some(Ok(item)),
            Ok(None) | Err(GetError::Empty) => None,
            Err(GetError::ShutDown) => Some(Err(shut_down())),
        }
    });
    match got {
        Ok(item) => {
            let queue = Arc::clone(queue);
            Ok(Reply::taken(item?, move |item| queue.put_back(item)))
        }
        Err(Unmet::TimedOut) => Err(Exception::new("queue", "Empty", Vec::new())),
        Err(Unmet::Gone) => Err(gone()),
    }
}

fn shut_down() -> Exception {
    Exception::new("queue", "ShutDown", Vec::new())
}
