//! The proxy that every other proxy is made of.

use std::fmt;
use std::mem;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use super::link::{HANDSHAKE, Link, ServerReply};
use crate::managers::convert::{FromValue, IntoArgs, WrongType};
use crate::managers::error::ManagerError;
use crate::managers::pickle::{Keeper, ProxyRef, Shared, Token, Value};
use crate::poison::lock_unpoisoned;
use crate::process::at_end_of_child;

/// How long dropping a proxy may wait for the server.
const GIVE_BACK: Duration = Duration::from_secs(2);

/// Not the id of any process.
const NOBODY: u32 = 0;

/// A handle on an object that lives in a manager's server: what Python's
/// [proxies](https://docs.python.org/3/library/multiprocessing.html#proxy-objects) have
/// in common.
///
/// It calls any method by name. The ready-made types have proxies with methods of their
/// own, such as [`QueueProxy`](crate::managers::QueueProxy), which give this one by their
/// `proxy` method.
///
/// Every thread has a connection of its own to the server; a call blocks only its own
/// thread. Copies of a proxy stand for the same object. The server drops the object once
/// every process that had a proxy of it has given it back, by dropping it or at its end.
/// A process that is killed cannot do so, as in Python: its objects stay until the server
/// ends. After a [fork](crate::Process) the child's copy registers itself with the server
/// when it is first used; keep the parent's until then.
///
/// When the server ends, calls that wait end with [`ManagerError::Lost`], and further
/// calls with [`ManagerError::Absent`]. A call has no time-out of its own: it waits as
/// long as its method takes.
///
/// There is an example at [`Server`](crate::managers::Server).
///
/// # As a value
///
/// Every proxy can be sent to another process: as the argument of a pool's task or of a
/// spawned process, as an item of a [`Queue`](crate::Queue) or a message of a
/// [`Connection`](crate::Connection). What travels is where the object lives, not the
/// object and not the key. Where the proxy arrives, it connects to the server with the
/// authkey of that process, which is the parent's unless
/// [`set_authkey`](crate::set_authkey) has changed it, and registers a reference of its
/// own. The message cannot be decoded if the server has another key or has dropped the
/// object. The message itself keeps nothing, so the sender must keep its proxy until the
/// message has arrived, as in Python.
///
/// Decoding a proxy connects to the address in the message, so decode none from a source
/// that you do not trust.
///
/// ```
/// use multiprocessing::managers::ListProxy;
/// use multiprocessing::{pipe, set_authkey};
/// # fn main() -> tutorial::Result<()> {
/// # use multiprocessing::managers::SyncManager;
/// # let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
/// # let mut manager = SyncManager::new(server.address(), b"abc");
/// # std::thread::spawn(move || server.serve_forever());
/// # manager.connect()?;
///
/// set_authkey(b"abc"); // the manager's; that of `manager()` is the process's already
/// let list = manager.list([1])?;
/// let (receiver, sender) = pipe(false)?;
/// sender.send(&list)?;
/// let same: ListProxy = receiver.recv()?;
/// same.append(2)?;
/// assert_eq!(format!("{:?}", list.value()?), "[1, 2]");
/// # drop((list, same));
/// # manager.shutdown()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Proxy {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) link: Arc<Link>,
    pub(super) token: Token,
    /// The names of its methods, if the server sent them.
    pub(super) exposed: Vec<String>,
    /// The process that owns the reference, or [`NOBODY`]. A fork's copy has none yet.
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

    pub(in crate::managers) fn create(
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

    /// A proxy of an object that was met in another's value.
    pub(in crate::managers) fn of_ref(
        link: &Arc<Link>,
        proxy: ProxyRef,
    ) -> Result<Self, ManagerError> {
        if let Some(leased) = proxy.keeper.as_ref().and_then(Keeper::get::<Self>)
            && Arc::ptr_eq(&leased.inner.link, link)
        {
            return Ok(leased.clone());
        }
        let mut token = proxy.token;
        // The server's own idea of its address need not lead there from here.
        token.address = link.address.clone();
        Self::register_new(link, token, proxy.exposed.unwrap_or_default())
    }

    /// A proxy that takes a reference of its own.
    pub(super) fn register_new(
        link: &Arc<Link>,
        token: Token,
        exposed: Vec<String>,
    ) -> Result<Self, ManagerError> {
        link.ask("incref", &[token.ident.as_str().into()], HANDSHAKE)?;
        Ok(Self::owning(link, token, exposed))
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
            ServerReply::Value(value) => Ok(value),
            ServerReply::Proxy { token, exposed } => {
                let proxy = Self::owning(&self.inner.link, token, exposed);
                Err(ManagerError::Unexpected {
                    wanted: "a value (call_proxy asks for a proxy)",
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
            // The reference that the server has counted for the reply becomes this
            // proxy's.
            ServerReply::Proxy { token, exposed } => {
                Ok(Self::owning(&self.inner.link, token, exposed).into())
            }
            ServerReply::Value(value) => {
                Err(WrongType::new("a proxy (call asks for a value)", &value).into())
            }
        }
    }

    fn request(
        &self,
        method: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
    ) -> Result<ServerReply, ManagerError> {
        let inner = &*self.inner;
        register(&self.inner)?;
        // The server keeps the objects of the proxies in its reply until this thread's
        // next request; references taken now keep them for as long as the value exists.
        let keep = &mut |found: &mut ProxyRef| {
            let leased = Self::of_ref(&inner.link, found.clone());
            // Without one it is the proxy of an object of another server.
            found.keeper = leased.ok().map(Keeper::new);
        };
        inner
            .link
            .call(&inner.token.ident, method, args, kwargs, keep)
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

    /// This proxy as a value, of Python's class for such proxies.
    pub(in crate::managers) fn to_value(&self, class: &str) -> Value {
        let auto = class == "AutoProxy";
        Value::Proxy(Shared::from(ProxyRef {
            token: self.inner.token.clone(),
            class: class.into(),
            exposed: auto.then(|| self.inner.exposed.clone()),
            // The reference is not given back while the value exists.
            keeper: Some(Keeper::new(self.clone())),
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

/// The proxies that this process, a forked child, has registered as its own. Most are
/// copies of its parent's variables, which are never dropped here.
static INHERITED: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

fn inherited() -> MutexGuard<'static, Vec<Weak<Inner>>> {
    lock_unpoisoned(&INHERITED)
}

/// Takes a reference for this process if the one here belongs to the parent that this
/// process was forked from.
fn register(inner: &Arc<Inner>) -> Result<(), ManagerError> {
    if inner.owner.load(Ordering::Relaxed) == process::id() {
        return Ok(());
    }
    let ident = [inner.token.ident.as_str().into()];
    inner.link.ask("incref", &ident, HANDSHAKE)?;
    if inner.owner.swap(process::id(), Ordering::Relaxed) == process::id() {
        // Two threads have registered it; one of the references is too many.
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
        if is_ours && !self.link.is_closed() {
            let ident = [self.token.ident.as_str().into()];
            // It fails if the server has ended, and the object with it.
            self.link.ask("decref", &ident, GIVE_BACK).ok();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.give_back();
    }
}
