//! What a server manages: objects whose methods clients call by name.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::convert::{Arguments, FromArgs};
use super::pickle::{Exception, Value};
use super::wire::Stream;

/// An object that clients use by proxy.
///
/// [`Methods`] makes one of any Rust type and a few closures; implement the trait by
/// hand for a type whose methods wait, give out other objects, or belong to clients.
///
/// A panic in any of these methods reaches the client that waits for the reply, if
/// there is one, as a `RuntimeError`. The object must remain usable for other clients.
///
/// ```
/// use multiprocessing::managers::{
///     Arguments, Caller, Exception, Managed, Reply,
/// };
/// use std::sync::{Arc, Mutex, PoisonError};
///
/// /// A chair that one client at a time sits on.
/// #[derive(Default)]
/// struct Chair {
///     taken_by: Mutex<Option<u64>>,
/// }
///
/// impl Chair {
///     fn clear(&self, caller: u64) {
///         let lock = self.taken_by.lock();
///         lock.unwrap_or_else(PoisonError::into_inner)
///             .take_if(|client| *client == caller);
///     }
/// }
///
/// impl Managed for Chair {
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
/// manager.register("Chair", || Arc::new(Chair::default()));
/// # let server = manager.get_server()?;
/// # let address = server.address().clone();
/// # std::thread::spawn(move || server.serve_forever());
/// # let mut manager = BaseManager::new(&address, b"abc");
/// # manager.connect()?;
/// # let chair = manager.create::<Proxy>("Chair", ())?;
/// # std::thread::scope(|s| {
/// #     s.spawn(|| assert!(chair.call::<bool>("sit_down", ()).unwrap()));
/// # });
/// # while !chair.call::<bool>("sit_down", ())? {}
/// # chair.call::<()>("stand_up", ())?;
/// # manager.shutdown()?;
/// # Ok::<(), multiprocessing::managers::ManagerError>(())
/// ```
pub trait Managed: Any + Send + Sync {
    /// The names of its methods.
    fn methods(&self) -> &[&'static str];

    /// Calls one of [`methods`](Self::methods). Several threads may do so at once.
    ///
    /// # Errors
    ///
    /// The exception that the client raises.
    fn call(
        self: Arc<Self>,
        method: &str,
        args: Arguments,
        caller: &Caller,
    ) -> Result<Reply, Exception>;

    /// A copy of the whole object as a value, if there is one.
    fn value(&self) -> Option<Value> {
        None
    }

    /// What Python's `repr` and `print` show.
    fn repr(&self) -> String {
        self.value()
            .map_or_else(|| "<managed object>".into(), |value| value.py_repr())
    }

    /// Whether clients can hold this object, or a part of it, so that
    /// [`forget`](Self::forget) must be called.
    fn belongs_to_callers(&self) -> bool {
        false
    }

    /// A client that called this object has closed its connection, or died: release what
    /// it held. Not called for an object that no client has a proxy of any more.
    fn forget(&self, _caller: u64) {}
}

/// What a method returns.
pub struct Reply(pub(super) ReplyContent);

pub(super) enum ReplyContent {
    Value(Value),
    Object(&'static str, Arc<dyn Managed>),
    Taken(Value, PutBack),
}

type PutBack = Box<dyn FnOnce(Value)>;

impl Reply {
    /// Another object, which the client gets a proxy of.
    #[must_use]
    pub fn object(typeid: &'static str, object: Arc<dyn Managed>) -> Self {
        Self(ReplyContent::Object(typeid, object))
    }

    /// A value that was taken out of the object. If it cannot be sent because the client
    /// has vanished, `put_back` gets it.
    #[must_use]
    pub fn taken(value: Value, put_back: impl FnOnce(Value) + 'static) -> Self {
        Self(ReplyContent::Taken(value, Box::new(put_back)))
    }
}

impl<T: Into<Value>> From<T> for Reply {
    fn from(value: T) -> Self {
        Self(ReplyContent::Value(value.into()))
    }
}

/// The caller of a method: one connection, which is one thread of a client.
#[derive(Debug)]
pub struct Caller {
    id: u64,
    stream: Arc<Stream>,
}

/// The longest wait between two checks that the client is still there.
const PATIENCE: Duration = Duration::from_millis(100);

/// Why a wait ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitError {
    /// The time-out has passed.
    TimedOut,
    /// The client has vanished: no reply can reach it.
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

    /// Waits for something, but no longer than the client exists. `attempt` tries to get
    /// it, and waits at most as long as its argument says.
    ///
    /// # Errors
    ///
    /// [`WaitError`].
    pub fn wait<T>(
        &self,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(Duration) -> Option<T>,
    ) -> Result<T, WaitError> {
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
                return Err(WaitError::TimedOut);
            }
            if let Some(done) = attempt(left.min(PATIENCE)) {
                return Ok(done);
            }
            if self.is_gone() {
                return Err(WaitError::Gone);
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

    /// Adds a method. It takes a tuple of arguments, and returns a value or an exception
    /// for the client to raise.
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

/// For a call of a method that is not in the list.
pub(super) fn no_method(method: &str) -> Exception {
    Exception::attribute_error(format!("no method '{method}'"))
}
