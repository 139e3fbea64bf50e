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

use super::BaseManager;
use super::convert::{Arguments, FromArgs, required};
use super::managed::{Caller, Reply};
use super::pickle::{Exception, Value};

use array::Array;
use barrier::Barrier;
use condition::Condition;
use containers::integer;
use dict::Dict;
use event::Event;
use list::List;
use lock::{Kind, Lock};
use namespace::Namespace;
use semaphore::Semaphore;

/// One call of a method.
struct Call<'a> {
    method: &'a str,
    args: Arguments,
    caller: &'a Caller,
}

type Outcome = Result<Reply, Exception>;

impl Call<'_> {
    /// The arguments of a method that takes exactly these, and none by name.
    fn parse<T: FromArgs>(self) -> Result<T, Exception> {
        self.args.parse(self.method)
    }

    /// See [`Arguments::bind`].
    fn bind<const N: usize>(
        self,
        names: [&str; N],
    ) -> Result<[Option<Value>; N], Exception> {
        self.args.bind(self.method, names)
    }

    /// See [`Arguments::positional`].
    fn positional<const N: usize>(
        self,
        required: usize,
    ) -> Result<[Option<Value>; N], Exception> {
        self.args.positional(self.method, required)
    }
}

/// The methods of a managed type, each with the function that carries it out: both the
/// list and the dispatch.
macro_rules! methods {
    ($($name:literal => $function:path),* $(,)?) => {
        fn methods(&self) -> &[&'static str] {
            &[$($name),*]
        }

        fn call(
            self: std::sync::Arc<Self>,
            method: &str,
            args: $crate::managers::convert::Arguments,
            caller: &$crate::managers::managed::Caller,
        ) -> $crate::managers::types::Outcome {
            let call = $crate::managers::types::Call { method, args, caller };
            match method {
                $($name => $function(&self, call),)*
                _ => Err($crate::managers::managed::no_method(method)),
            }
        }
    };
}
use methods;

/// Registers all of them under Python's names.
pub(super) fn register(manager: &mut BaseManager) {
    for queue in ["Queue", "JoinableQueue"] {
        manager.register_with(queue, |args| {
            let [maxsize] = args.bind("Queue", ["maxsize"])?;
            let maxsize = maxsize.unwrap_or(Value::Int(0));
            // As in Python, a queue of size zero or less is unbounded.
            let maxsize = usize::try_from(integer(&maxsize)?.clamped()).unwrap_or(0);
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
