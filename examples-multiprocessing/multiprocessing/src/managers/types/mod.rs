//! The ready-made types, as the server has them. Their methods and exceptions are
//! Python's, as clients may be.

mod array;
mod barrier;
mod condition;
mod containers;
mod dict;
mod event;
mod list;
mod lock;
mod namespace;
mod queue;
mod semaphore;
mod waiting;

use std::sync::Arc;

use ::queue::Queue;

pub(super) use array::numbers;

use super::BaseManager;
use super::convert::{optional, required};
use super::pickle::Value;

use array::Array;
use barrier::Barrier;
use condition::Condition;
use dict::Dict;
use event::Event;
use list::List;
use lock::{Kind, Lock};
use namespace::Namespace;
use semaphore::Semaphore;

/// Registers all of them under Python's names.
pub(super) fn register(manager: &mut BaseManager) {
    for queue in ["Queue", "JoinableQueue"] {
        manager.register_with(queue, |args| {
            let [maxsize] = args.bind("Queue", ["maxsize"])?;
            let maxsize = optional::<i64>(maxsize, 0)?;
            // As in Python, less than one is any number.
            let maxsize = usize::try_from(maxsize).unwrap_or(0);
            Ok(Arc::new(Queue::<Value>::new(maxsize)))
        });
    }
    manager.register_with("list", |args| List::new(args).map(Arc::new));
    manager.register_with("dict", |args| Dict::new(args).map(Arc::new));
    manager.register_with("Namespace", |args| Namespace::new(args).map(Arc::new));
    manager.register_with("Value", |args| {
        let [typecode, value, _lock] =
            args.bind("Value", ["typecode", "value", "lock"])?;
        let typecode: Value = required(typecode, "typecode")?;
        Ok(Arc::new(namespace::Cell::new(
            typecode,
            required(value, "value")?,
        )))
    });
    manager.register_with("Array", |args| Array::new(args).map(Arc::new));
    manager.register("Lock", || Arc::new(Lock::new(Kind::Plain)));
    manager.register("RLock", || Arc::new(Lock::new(Kind::Reentrant)));
    manager.register_with("Semaphore", |args| Semaphore::new(args).map(Arc::new));
    manager.register_with("BoundedSemaphore", |args| {
        Semaphore::bounded(args).map(Arc::new)
    });
    manager.register_with("Condition", |args| Condition::new(args).map(Arc::new));
    manager.register("Event", || Arc::new(Event::new()));
    manager.register_with("Barrier", |args| Barrier::new(args).map(Arc::new));
}
