//! The client's side: connections, requests, and the proxy that every other is made of.

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::address::Stream;
use super::auth;
use super::connection::Connection;
use super::convert::{FromValue, IntoArgs, WrongType};
use super::error::ManagerError;
use super::pickle::{ProxyRef, Reader, Token, Value};
use super::{Address, Digests};
use crate::process::at_end_of_child;
use crate::{AuthKey, current_process};

/// How long a server may take to answer a connection.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// How long dropping a proxy may wait for the server to hear of it.
const GOODBYE: Duration = Duration::from_secs(2);

/// No process's id.
const NOBODY: u32 = 0;

/// What all proxies of one server have in common.
pub(super) struct Link {
    pub(super) address: Address,
    pub(super) key: AuthKey,
    pub(super) digests: Digests,
    /// The server was shut down from here: there is nobody left to say goodbye to.
    pub(super) closed: AtomicBool,
}

/// What a server answers.
enum Answer {
    Value(Value),
    Proxy { token: Token, exposed: Vec<String> },
}

impl Link {
    /// A connection on which both sides have proved that they know the key. It must
    /// have served its purpose when the time is up.
    fn dial(&self, timeout: Duration) -> Result<Connection, ManagerError> {
        let deadline = Instant::now() + timeout;
        let address = &self.address;
        let stream = Stream::connect(address, timeout).map_err(|source| {
            ManagerError::Absent {
                address: address.clone(),
                source,
            }
        })?;
        let mut connection = Connection::new(Arc::new(stream), deadline);
        let key = self.key.as_bytes();
        auth::answer_challenge(&mut connection, key, self.digests)
            .and_then(|()| {
                auth::deliver_challenge(&mut connection, key, self.digests)
            })
            .map_err(ManagerError::auth(address))?;
        Ok(connection)
    }

    /// [`dial`](Self::dial)s for requests that may take any time.
    fn dial_patiently(&self) -> Result<Connection, ManagerError> {
        let mut connection = self.dial(HANDSHAKE)?;
        connection
            .wait_for_ever()
            .map_err(|source| ManagerError::Absent {
                address: self.address.clone(),
                source,
            })?;
        Ok(connection)
    }

    /// Asks the server itself, on a connection that ends with the answer, which must
    /// come in time.
    pub(super) fn ask(
        &self,
        function: &str,
        args: &[Value],
        timeout: Duration,
    ) -> Result<Value, ManagerError> {
        self.ask_on(self.dial(timeout)?, function, args)
    }

    fn ask_on(
        &self,
        mut connection: Connection,
        function: &str,
        args: &[Value],
    ) -> Result<Value, ManagerError> {
        match self.exchange(&mut connection, None, function, args, &[])? {
            Answer::Value(value) => Ok(value),
            Answer::Proxy { .. } => Err(self.protocol("it answers with a proxy")),
        }
    }

    /// Calls an object's method on the calling thread's own connection.
    fn call(
        self: &Arc<Self>,
        ident: &str,
        method: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
    ) -> Result<Answer, ManagerError> {
        let mut connection = match take_connection(self) {
            Some(connection) => connection,
            None => self.open_for_calls()?,
        };
        let answer =
            self.exchange(&mut connection, Some(ident), method, args, kwargs);
        // After any other error a connection is in step and good for the next call.
        if !matches!(
            answer,
            Err(ManagerError::Lost { .. }
                | ManagerError::TimedOut { .. }
                | ManagerError::TooLong { .. }
                | ManagerError::Protocol { .. })
        ) {
            keep_connection(self, connection);
        }
        answer
    }

    fn open_for_calls(&self) -> Result<Connection, ManagerError> {
        let mut connection = self.dial_patiently()?;
        let mut name = current_process().name().to_owned();
        if let Some(thread) =
            thread::current().name().filter(|&thread| thread != "main")
        {
            name = format!("{name}|{thread}");
        }
        let args = [Value::Str(name)];
        self.exchange(&mut connection, None, "accept_connection", &args, &[])?;
        Ok(connection)
    }

    fn exchange(
        &self,
        connection: &mut Connection,
        target: Option<&str>,
        method: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
    ) -> Result<Answer, ManagerError> {
        let address = &self.address;
        connection
            .send_call(target, method, args, kwargs)
            .map_err(ManagerError::send(address))?;
        let reply = connection
            .receive()
            .map_err(ManagerError::frame(address))?
            .ok_or_else(|| ManagerError::Lost {
                address: address.clone(),
            })?;
        let reply = Reader::new(reply).read()?;
        let Value::Tuple(parts) = reply else {
            return Err(self.protocol("its reply is no pair"));
        };
        let Ok([Value::Str(kind), value]) = <[Value; 2]>::try_from(parts) else {
            return Err(self.protocol("its reply is no pair"));
        };
        match (kind.as_str(), value) {
            ("#RETURN", value) => Ok(Answer::Value(value)),
            ("#ERROR", Value::Exception(exception)) => Err((*exception).into()),
            ("#PROXY", value) => {
                let parts = <(Vec<String>, Value)>::from_value(value);
                let Ok((exposed, Value::Token(token))) = parts else {
                    return Err(self.protocol("its proxy lacks its parts"));
                };
                Ok(Answer::Proxy {
                    token: *token,
                    exposed,
                })
            }
            ("#TRACEBACK" | "#UNSERIALIZABLE", Value::Str(text)) => {
                Err(ManagerError::Refused(last_line(&text)))
            }
            _ => Err(self.protocol("its reply is of no known kind")),
        }
    }

    fn protocol(&self, what: &str) -> ManagerError {
        ManagerError::Protocol {
            address: self.address.clone(),
            what: what.into(),
        }
    }
}

/// What a traceback comes to.
fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or_default().trim().trim_end_matches('.').into()
}

/// A connection that waits for its thread's next call.
struct Idle {
    link: Weak<Link>,
    /// After a fork both processes would speak on it.
    owner: u32,
    connection: Connection,
}

thread_local! {
    /// This thread's connections, one for each server. That is what makes the thread
    /// the owner of the locks it holds there.
    static IDLE: RefCell<Vec<Idle>> = const { RefCell::new(Vec::new()) };
}

fn take_connection(link: &Arc<Link>) -> Option<Connection> {
    IDLE.with_borrow_mut(|idle| {
        let place = idle
            .iter()
            .position(|idle| idle.link.as_ptr() == Arc::as_ptr(link))?;
        let idle = idle.swap_remove(place);
        (idle.owner == process::id()).then_some(idle.connection)
    })
}

fn keep_connection(link: &Arc<Link>, connection: Connection) {
    IDLE.with_borrow_mut(|idle| {
        // What belongs to proxies that are gone goes too.
        idle.retain(|idle| idle.link.strong_count() > 0);
        idle.push(Idle {
            link: Arc::downgrade(link),
            owner: process::id(),
            connection,
        });
    });
}

impl Drop for Link {
    fn drop(&mut self) {
        // It fails in a thread that is about to end, with all its connections.
        let _ending = IDLE.try_with(|idle| {
            if let Ok(mut idle) = idle.try_borrow_mut() {
                idle.retain(|idle| idle.link.strong_count() > 0);
            }
        });
    }
}

/// A handle on an object that lives in a manager's server: what Python's
/// [proxies](https://docs.python.org/3/library/multiprocessing.html#proxy-objects) have
/// in common.
///
/// It calls any method by name. The ready-made types have proxies with methods of their
/// own, such as [`QueueProxy`](super::QueueProxy), which deref to this one.
///
/// Every thread has a connection of its own to the server; a call blocks its thread
/// only. Copies of a proxy mean the same object, which the server drops once every
/// process that had a proxy of it has given it back: by dropping it or at its end. One
/// that is killed cannot, as in Python: its objects stay until the server ends. After a
/// [fork](crate::Process) the child's copy registers itself with the server when it is
/// first used; keep the parent's until then.
///
/// When the server ends, whoever waits in a call gets
/// [`ManagerError::Lost`], further calls [`ManagerError::Absent`]. A call has no time-out
/// of its own: it waits as long as its method takes.
///
/// There is an example at [`Server`](super::Server).
#[derive(Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

struct Inner {
    link: Arc<Link>,
    token: Token,
    /// Its methods, where the server told them.
    exposed: Vec<String>,
    /// The process whose reference this is, or [`NOBODY`]. A fork's copy has none yet.
    owner: AtomicU32,
}

impl Proxy {
    /// A proxy that owns a reference which the server has counted already.
    fn owning(link: &Arc<Link>, token: Token, exposed: Vec<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                link: Arc::clone(link),
                token,
                exposed,
                owner: AtomicU32::new(process::id()),
            }),
        }
    }

    pub(super) fn create(
        link: &Arc<Link>,
        typeid: &str,
        args: Vec<Value>,
    ) -> Result<Self, ManagerError> {
        let args = [vec![typeid.into()], args].concat();
        let made = link.ask_on(link.dial_patiently()?, "create", &args)?;
        let (ident, exposed) = <(String, Vec<String>)>::from_value(made)?;
        let token = Token {
            typeid: typeid.into(),
            address: link.address.clone(),
            ident,
        };
        Ok(Self::owning(link, token, exposed))
    }

    pub(super) fn of_ref(
        link: &Arc<Link>,
        proxy: ProxyRef,
    ) -> Result<Self, ManagerError> {
        let mut token = proxy.token;
        link.ask("incref", &[token.ident.as_str().into()], HANDSHAKE)?;
        // The server's own idea of its address need not lead there from here.
        token.address = link.address.clone();
        Ok(Self::owning(link, token, proxy.exposed.unwrap_or_default()))
    }

    /// Calls a method of the object.
    ///
    /// # Errors
    ///
    /// What the method raised, or whatever kept the call from it or the answer from
    /// here: [`ManagerError`].
    pub fn call<R: FromValue>(
        &self,
        method: &str,
        args: impl IntoArgs,
    ) -> Result<R, ManagerError> {
        let value = self.call_with(method, &args.into_args(), &[])?;
        Ok(R::from_value(value)?)
    }

    /// [`call`](Self::call) with arguments by name.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call).
    pub fn call_with(
        &self,
        method: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
    ) -> Result<Value, ManagerError> {
        match self.request(method, args, kwargs)? {
            Answer::Value(value) => Ok(value),
            Answer::Proxy { token, exposed } => {
                let proxy = Self::owning(&self.inner.link, token, exposed);
                Err(ManagerError::Unexpected {
                    wanted: "value: ask for it by call_proxy",
                    got: format!("{proxy:?}"),
                })
            }
        }
    }

    /// Calls a method that answers with an object of its own.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call).
    pub fn call_proxy<P: From<Proxy>>(
        &self,
        method: &str,
        args: impl IntoArgs,
    ) -> Result<P, ManagerError> {
        match self.request(method, &args.into_args(), &[])? {
            // Its reference is the reply's, which nobody else takes over.
            Answer::Proxy { token, exposed } => {
                Ok(Self::owning(&self.inner.link, token, exposed).into())
            }
            Answer::Value(value) => {
                Err(WrongType::new("proxy: ask for it by call", &value).into())
            }
        }
    }

    fn request(
        &self,
        method: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
    ) -> Result<Answer, ManagerError> {
        let inner = &*self.inner;
        register(&self.inner)?;
        inner.link.call(&inner.token.ident, method, args, kwargs)
    }

    /// A copy of the object, if it has a value.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call).
    pub fn value(&self) -> Result<Value, ManagerError> {
        self.call("#GETVALUE", ())
    }

    /// The object as Python's `print` shows it.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call).
    pub fn repr(&self) -> Result<String, ManagerError> {
        self.call("__repr__", ())
    }

    /// The name under which its type was registered.
    #[must_use]
    pub fn typeid(&self) -> &str {
        &self.inner.token.typeid
    }

    /// The names of its methods.
    #[must_use]
    pub fn methods(&self) -> &[String] {
        &self.inner.exposed
    }

    /// Itself as a value, of Python's class for such a proxy.
    pub(super) fn to_value(&self, class: &str) -> Value {
        let auto = class == "AutoProxy";
        Value::Proxy(Box::new(ProxyRef {
            token: self.inner.token.clone(),
            class: class.into(),
            exposed: auto.then(|| self.inner.exposed.clone()),
            referent: None,
        }))
    }
}

/// The object stays where it is; what is sent is where to find it.
impl From<&Proxy> for Value {
    fn from(proxy: &Proxy) -> Self {
        proxy.to_value("AutoProxy")
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Token {
            typeid,
            address,
            ident,
        } = &self.inner.token;
        write!(f, "<proxy of {typeid} {ident} at {address}>")
    }
}

/// The proxies that this process, somebody's child, has registered as its own. Most are
/// copies of its parent's variables, which are never dropped here.
static INHERITED: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

fn inherited() -> MutexGuard<'static, Vec<Weak<Inner>>> {
    // Nothing that can panic runs under the lock.
    INHERITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a reference for this process if the one here is another's: of the parent that
/// this process was forked from.
fn register(inner: &Arc<Inner>) -> Result<(), ManagerError> {
    if inner.owner.load(Ordering::Relaxed) == process::id() {
        return Ok(());
    }
    let ident = [inner.token.ident.as_str().into()];
    inner.link.ask("incref", &ident, HANDSHAKE)?;
    if inner.owner.swap(process::id(), Ordering::Relaxed) == process::id() {
        // Two threads have come here; the reference of one is too many.
        inner.link.ask("decref", &ident, HANDSHAKE)?;
        return Ok(());
    }
    at_end_of_child(|| {
        let inherited = mem::take(&mut *inherited());
        for inner in inherited.iter().filter_map(Weak::upgrade) {
            inner.give_back();
        }
    });
    inherited().push(Arc::downgrade(inner));
    Ok(())
}

impl Inner {
    /// Gives this process's reference back, if it has one.
    fn give_back(&self) {
        let is_ours = self.owner.swap(NOBODY, Ordering::Relaxed) == process::id();
        if is_ours && !self.link.closed.load(Ordering::Relaxed) {
            // Without a server there is nothing to give back.
            let ident = [self.token.ident.as_str().into()];
            let _gone = self.link.ask("decref", &ident, GOODBYE);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::managers::address::Listener;

    #[test]
    fn an_answer_that_drips_is_late_all_the_same() {
        let listener = Listener::bind(&("127.0.0.1", 0).into()).unwrap();
        let link = Link {
            address: listener.address().clone(),
            key: b"abc".into(),
            digests: Digests::All,
            closed: AtomicBool::new(false),
        };
        thread::scope(|s| {
            s.spawn(|| {
                let stream = loop {
                    if let Ok(stream) = listener.accept() {
                        break Arc::new(stream);
                    }
                    thread::sleep(Duration::from_millis(1));
                };
                let deadline = Instant::now() + HANDSHAKE;
                let mut connection = Connection::new(Arc::clone(&stream), deadline);
                auth::deliver_challenge(&mut connection, b"abc", Digests::All)
                    .unwrap();
                auth::answer_challenge(&mut connection, b"abc", Digests::All)
                    .unwrap();
                let mut stream = &*stream;
                stream.write_all(&[0, 0, 1, 0]).unwrap();
                while stream.write_all(b"x").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let start = Instant::now();
            let late = link.ask("dummy", &[], Duration::from_millis(300));
            assert!(
                matches!(late, Err(ManagerError::TimedOut { .. })),
                "{late:?}"
            );
            assert!(start.elapsed() < Duration::from_secs(4));
        });
    }
}
