//! `queue.Queue`: the threading section's own queue, of values.

use std::sync::Arc;
use std::time::Duration;

use ::queue::{GetError, PutError, Queue};

use super::containers::is_true;
use super::waiting::{gone, number_of_seconds, within_clock};
use super::{Call, Outcome, methods};
use crate::managers::convert::required;
use crate::managers::managed::{Caller, Managed, Reply, WaitError};
use crate::managers::pickle::{Exception, Value};

/// A queue of values can be managed as it is. An item that was taken for a client which
/// has died in the meantime goes back to where it was.
impl Managed for Queue<Value> {
    methods! {
        "empty" => empty,
        "full" => full,
        "get" => get,
        "get_nowait" => get_nowait,
        "join" => join,
        "put" => put,
        "put_nowait" => put_nowait,
        "qsize" => qsize,
        "shutdown" => shutdown,
        "task_done" => task_done,
    }
}

fn empty(queue: &Arc<Queue<Value>>, call: Call) -> Outcome {
    call.parse::<()>()?;
    Ok(queue.empty().into())
}

fn full(queue: &Arc<Queue<Value>>, call: Call) -> Outcome {
    call.parse::<()>()?;
    Ok(queue.full().into())
}

fn qsize(queue: &Arc<Queue<Value>>, call: Call) -> Outcome {
    call.parse::<()>()?;
    Ok(queue.qsize().into())
}

fn put(queue: &Arc<Queue<Value>>, call: Call) -> Outcome {
    let caller = call.caller;
    let [item, block, time] = call.bind(["item", "block", "timeout"])?;
    put_within(queue, required(item, "item")?, wait(block, time)?, caller)
}

fn put_nowait(queue: &Arc<Queue<Value>>, call: Call) -> Outcome {
    let caller = call.caller;
    let [item] = call.bind(["item"])?;
    put_within(queue, required(item, "item")?, Some(Duration::ZERO), caller)
}

fn get(queue: &Arc<Queue<Value>>, call: Call) -> Outcome {
    let caller = call.caller;
    let [block, time] = call.bind(["block", "timeout"])?;
    get_within(queue, wait(block, time)?, caller)
}

fn get_nowait(queue: &Arc<Queue<Value>>, call: Call) -> Outcome {
    let caller = call.caller;
    call.parse::<()>()?;
    get_within(queue, Some(Duration::ZERO), caller)
}

fn task_done(queue: &Arc<Queue<Value>>, call: Call) -> Outcome {
    call.parse::<()>()?;
    queue
        .task_done()
        .map(Reply::from)
        .map_err(|_| Exception::value_error("task_done() called too many times"))
}

fn join(queue: &Arc<Queue<Value>>, call: Call) -> Outcome {
    let caller = call.caller;
    call.parse::<()>()?;
    caller
        .wait(None, |patience| queue.join_timeout(patience).then_some(()))
        .map(Reply::from)
        .map_err(|_| gone())
}

fn shutdown(queue: &Arc<Queue<Value>>, call: Call) -> Outcome {
    let [immediate] = call.bind(["immediate"])?;
    if immediate.as_ref().is_some_and(is_true) {
        drop(queue.shutdown_immediate());
    } else {
        queue.shutdown();
    }
    Ok(().into())
}

/// How long to wait at most, from Python's `block` and `timeout`.
fn wait(
    block: Option<Value>,
    time: Option<Value>,
) -> Result<Option<Duration>, Exception> {
    if !block.as_ref().is_none_or(is_true) {
        return Ok(Some(Duration::ZERO));
    }
    match time {
        None | Some(Value::None) => Ok(None),
        Some(time) => match number_of_seconds(time)? {
            time if time < 0.0 => Err(Exception::value_error(
                "'timeout' must be a non-negative number",
            )),
            time => within_clock(time).map(Some),
        },
    }
}

fn put_within(
    queue: &Queue<Value>,
    item: Value,
    time: Option<Duration>,
    caller: &Caller,
) -> Outcome {
    let mut item = Some(item);
    let put = caller.wait(time, |patience| {
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
        Err(WaitError::TimedOut) => Err(Exception::new("queue", "Full", Vec::new())),
        Err(WaitError::Gone) => Err(gone()),
    }
}

fn get_within(
    queue: &Arc<Queue<Value>>,
    time: Option<Duration>,
    caller: &Caller,
) -> Outcome {
    let got = caller.wait(time, |patience| {
        // A client that has died over TCP would not refuse the reply.
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
        Err(WaitError::TimedOut) => {
            Err(Exception::new("queue", "Empty", Vec::new()))
        }
        Err(WaitError::Gone) => Err(gone()),
    }
}

fn shut_down() -> Exception {
    Exception::new("queue", "ShutDown", Vec::new())
}
