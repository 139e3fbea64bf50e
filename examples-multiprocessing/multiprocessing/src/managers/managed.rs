//! What a server manages: objects whose methods clients call by name.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::address::Stream;
use super::convert::{Arguments, FromArgs};
use super::pickle::{Exception, Value};

/// An object that clients use by proxy.
///
/// [`Methods`] makes one of any Rust type and a few closures; implement the trait by
/// hand for a type whose methods wait, give out other objects, or belong to clients.
///
/// A panic in any of these methods reaches the client as a `RuntimeError`, where one
/// waits for an answer; the object must still be usable by others then.
///
/// ```
/// use multiprocessing::managers::{
///     Arguments, Caller, Exception, Managed, Reply,
/// };
/// use std::sync::{Arc, Mutex, PoisonError};
///
/// /// A desk that one client at a time sits at.
/// #[derive(Default)]
/// struct Desk {
///     taken_by: Mutex<Option<u64>>,
/// }
///
/// impl Desk {
///     fn clear(&self, caller: u64) {
///         let lock = self.taken_by.lock();
///         lock.unwrap_or_else(PoisonError::into_inner)
///             .take_if(|client| *client == caller);
///     }
/// }
///
/// impl Managed for Desk {
///     fn methods(&self) -> &[&'static str] {
///         &["sit_down", "stand_up"]
///     }
///
///     fn call(
///         self: Arc<Self>,
///         method: &str,
///         args: Arguments,
///         caller: &Caller,
///     ) -> Result<Reply, Exception> {
///         args.parse::<()>(method)?;
///         if method == "stand_up" {
///             self.clear(caller.id());
///             return Ok(().into());
///         }
///         let lock = self.taken_by.lock();
///         let mut taken_by = lock.unwrap_or_else(PoisonError::into_inner);
///         let client = *taken_by.get_or_insert(caller.id());
///         Ok((client == caller.id()).into())
///     }
///
///     // Without these two a client that dies would sit there for ever.
///     fn belongs_to_callers(&self) -> bool {
///         true
///     }
///
///     fn forget(&self, caller: u64) {
///         self.clear(caller);
///     }
/// }
///
/// # use multiprocessing::managers::{BaseManager, Proxy};
/// # let mut manager = BaseManager::new(("127.0.0.1", 0), b"abc");
/// manager.register("Desk", || Arc::new(Desk::default()));
/// # let server = manager.get_server()?;
/// # let address = server.address().clone();
/// # std::thread::spawn(move || server.serve_forever());
/// # let mut manager = BaseManager::new(&address, b"abc");
/// # manager.connect()?;
/// # let desk = manager.create::<Proxy>("Desk", ())?;
/// # std::thread::scope(|s| {
/// #     s.spawn(|| assert!(desk.call::<bool>("sit_down", ()).unwrap()));
/// # });
/// # while !desk.call::<bool>("sit_down", ())? {}
/// # desk.call::<()>("stand_up", ())?;
/// # manager.shutdown()?;
/// # Ok::<(), multiprocessing::managers::ManagerError>(())
/// ```
pub trait Managed: Any + Send + Sync {
    /// The names of its methods.
    fn methods(&self) -> &[&'static str];

    /// Calls one of [`methods`](Self::methods), by one of many threads at a time.
    ///
    /// # Errors
    ///
    /// What the client is to raise.
    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        caller: &Caller,
    ) -> Result<Reply, Exception>;

    /// A copy of the whole as a value, if there is one.
    fn value(&self) -> Option<Value> {
        None
    }

    /// What Python's `repr` and `print` show.
    fn repr(&self) -> String {
        self.value()
            .map_or_else(|| "<managed object>".into(), |value| value.py_repr())
    }

    /// Whether [`forget`](Self::forget) is of interest.
    fn belongs_to_callers(&self) -> bool {
        false
    }

    /// A client that called this object has ended its connection, or died: what it
    /// held is free. An object that nobody has a proxy of any more is not told.
    fn forget(&self, _caller: u64) {}
}

/// What a method returns.
pub struct Reply(pub(super) Answer);

pub(super) enum Answer {
    Value(Value),
    Object(&'static str, Arc<dyn Managed>),
    Taken(Value, PutBack),
}

type PutBack = Box<dyn FnOnce(Value)>;

impl Reply {
    /// Another object, which the client gets a proxy of.
    #[must_use]
    pub fn object(typeid: &'static str, object: Arc<dyn Managed>) -> Self {
        Self(Answer::Object(typeid, object))
    }

    /// A value that was taken from the object, and what to do with it if it turns out
    /// that the client has vanished in the meantime.
    #[must_use]
    pub fn taken(value: Value, put_back: impl FnOnce(Value) + 'static) -> Self {
        Self(Answer::Taken(value, Box::new(put_back)))
    }
}

impl<T: Into<Value>> From<T> for Reply {
    fn from(value: T) -> Self {
        Self(Answer::Value(value.into()))
    }
}

/// Who calls a method: one connection, which is one thread of a client.
#[derive(Debug)]
pub struct Caller {
    id: u64,
    stream: Arc<Stream>,
}

/// How often who waits for something looks whether its client is still there.
const PATIENCE: Duration = Duration::from_millis(100);

/// How a wait ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// In time.
    TimedOut,
    /// The client has vanished: nobody will read an answer.
    Gone,
}

impl Caller {
    pub(super) fn new(id: u64, stream: Arc<Stream>) -> Self {
        Self { id, stream }
    }

    /// A number that no other connection of the server has or will have.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether the client has ended its connection, or died.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.stream.is_closed()
    }

    /// Waits for something as long as the client does. `attempt` gets it, waiting for
    /// at most as long as it is told to.
    ///
    /// # Errors
    ///
    /// [`Unmet`].
    pub fn wait<T>(
        &self,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(Duration) -> Option<T>,
    ) -> Result<T, Unmet> {
        if let Some(done) = attempt(Duration::ZERO) {
            return Ok(done);
        }
        let deadline =
            timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map_or(PATIENCE, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Err(Unmet::TimedOut);
            }
            if let Some(done) = attempt(left.min(PATIENCE)) {
                return Ok(done);
            }
            if self.is_gone() {
                return Err(Unmet::Gone);
            }
        }
    }
}

/// A managed object made of a value and functions on it.
///
/// ```
/// use multiprocessing::managers::Methods;
/// use std::sync::atomic::{AtomicI64, Ordering};
///
/// let counter = Methods::new(AtomicI64::new(0))
///     .method("add", |counter, (n,): (i64,)| {
///         Ok(counter.fetch_add(n, Ordering::Relaxed) + n)
///     })
///     .method("get", |counter, ()| Ok(counter.load(Ordering::Relaxed)));
/// ```
pub struct Methods<T> {
    object: T,
    names: Vec<&'static str>,
    /// In the order of the names.
    functions: Vec<Function<T>>,
}

type Function<T> =
    Box<dyn Fn(&T, Arguments) -> Result<Value, Exception> + Send + Sync>;

impl<T: Send + Sync + 'static> Methods<T> {
    /// This value, without methods yet.
    #[must_use]
    pub fn new(object: T) -> Self {
        Self {
            object,
            names: Vec::new(),
            functions: Vec::new(),
        }
    }

    /// One method more. It takes a tuple of arguments; what it returns is a value or
    /// an exception for the client to raise.
    #[must_use]
    pub fn method<A, R>(
        mut self,
        name: &'static str,
        function: impl Fn(&T, A) -> Result<R, Exception> + Send + Sync + 'static,
    ) -> Self
    where
        A: FromArgs,
        R: Into<Value>,
    {
        self.names.push(name);
        self.functions.push(Box::new(move |object, args| {
            function(object, args.parse(name)?).map(Into::into)
        }));
        self
    }
}

impl<T: Send + Sync + 'static> Managed for Methods<T> {
    fn methods(&self) -> &[&'static str] {
        &self.names
    }

    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        _caller: &Caller,
    ) -> Result<Reply, Exception> {
        match self.names.iter().position(|&name| name == method) {
            Some(index) => {
                self.functions[index](&self.object, args).map(Reply::from)
            }
            None => Err(no_method(method)),
        }
    }
}

/// For a method that is called though it is not in the list.
pub(super) fn no_method(method: &str) -> Exception {
    Exception::attribute_error(format!("no method '{method}'"))
}
