//! Managers: how a program starts a server or finds one.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, mem, process};

use nix::sys::signal::Signal;

use super::client::{Link, Proxy};
use super::convert::{Arguments, IntoArgs};
use super::error::ManagerError;
use super::managed::Managed;
use super::pickle::{Exception, ProxyRef, Value};
use super::proxies::{
    ArrayProxy, BarrierProxy, ConditionProxy, DictProxy, EventProxy, ListProxy,
    LockProxy, NamespaceProxy, QueueProxy, SemaphoreProxy, ValueProxy,
};
use super::server::{Limits, Registry, Server};
use super::wire::SocketFile;
use super::{Address, Digests, types};
use crate::sys::signals::ignore;
use crate::{AuthKey, Process, ProcessHandle, current_process};

/// How long a server may take for one of its own functions.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a server that was asked to end may take before it is killed.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// A manager of registered types: Python's
/// [`BaseManager`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.managers.BaseManager).
///
/// Dropping a manager that was [started](Self::start) ends its server. A client need
/// not register the names of types, as Python's must.
///
/// There is an example at [`Server`].
pub struct BaseManager {
    address: Address,
    key: AuthKey,
    digests: Digests,
    registry: Registry,
    state: State,
}

enum State {
    New,
    Connected(Arc<Link>),
    Started(Box<Started>),
}

/// A server process of our own.
struct Started {
    link: Arc<Link>,
    process: ProcessHandle,
    /// The process that started it: dropping a fork's copy of this does not end it.
    owner: u32,
    /// Removed from here and not by the server, which may be killed.
    _file: Option<SocketFile>,
}

impl BaseManager {
    /// A manager for this address and key. [`Address::any`] is an address for a server
    /// of this program's own.
    #[must_use]
    pub fn new(address: impl Into<Address>, key: impl Into<AuthKey>) -> Self {
        Self {
            address: address.into(),
            key: key.into(),
            digests: Digests::default(),
            registry: Registry::new(),
            state: State::New,
        }
    }

    /// Restricts the digests with which the two sides prove that they know the key.
    #[must_use]
    pub fn digests(mut self, digests: Digests) -> Self {
        self.digests = digests;
        self
    }

    /// Registers a type under a name. The function is called whenever a client creates
    /// an object of it, and may give the same object each time.
    pub fn register<M: Managed>(
        &mut self,
        typeid: &str,
        factory: impl Fn() -> Arc<M> + Send + Sync + 'static,
    ) {
        self.register_with(typeid, move |args| {
            args.parse::<()>("create")?;
            Ok(factory())
        });
    }

    /// Registers a type whose objects are created with arguments.
    pub fn register_with<M: Managed>(
        &mut self,
        typeid: &str,
        factory: impl Fn(Arguments) -> Result<Arc<M>, Exception> + Send + Sync + 'static,
    ) {
        let factory = move |args| Ok(factory(args)? as Arc<dyn Managed>);
        self.registry.insert(typeid.into(), Arc::new(factory));
    }

    /// Starts a process with the server in it. The process is a daemon: it ends with
    /// this one at the latest. Ctrl+C does not end it before that.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Bind`] if the address is in use, [`ManagerError::Process`] if no
    /// process can be started, for example because the program has several threads. Such
    /// a program can run [`get_server`](Self::get_server)'s server in a thread.
    pub fn start(&mut self) -> Result<(), ManagerError> {
        let mut server = self.bind()?;
        let address = server.address().clone();
        let mut file = server.take_file();
        let mut server_process = Process::builder()
            .name("SyncManager-1")
            .daemon(true)
            .target(move || {
                if ignore(Signal::SIGINT).is_err() {
                    eprintln!("The manager's server will end with Ctrl+C.");
                }
                server.serve_forever();
            });
        server_process.start()?;
        if let Some(file) = &mut file {
            // The file is in no one's way if that fails: the next server replaces it.
            file.watch().ok();
        }
        self.address = address;
        self.state = State::Started(Box::new(Started {
            link: self.link(),
            process: server_process.handle()?.clone(),
            owner: process::id(),
            _file: file,
        }));
        Ok(())
    }

    /// Connects to a server that is already running.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Absent`] if there is none, [`ManagerError::WrongKey`] if it has
    /// another key, [`ManagerError::Protocol`] if it is not a manager's server, and
    /// [`ManagerError::TimedOut`] if it sends nothing for 20 seconds.
    pub fn connect(&mut self) -> Result<(), ManagerError> {
        self.check_is_new()?;
        let link = self.link();
        link.ask("dummy", &[], PATIENCE)?;
        self.state = State::Connected(link);
        Ok(())
    }

    /// A server to be run in this process.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Bind`] if the address is in use.
    pub fn get_server(self) -> Result<Server, ManagerError> {
        self.bind()
    }

    fn bind(&self) -> Result<Server, ManagerError> {
        self.check_is_new()?;
        // A copy: a start that fails may be tried again.
        let registry = self.registry.clone();
        let (key, digests) = (self.key.clone(), self.digests);
        let limits = Limits::default();
        Server::bind(&self.address, key, digests, limits, registry).map_err(
            |source| ManagerError::Bind {
                address: self.address.clone(),
                source,
            },
        )
    }

    fn check_is_new(&self) -> Result<(), ManagerError> {
        match self.state {
            State::New => Ok(()),
            State::Connected(_) | State::Started(_) => {
                Err(ManagerError::AlreadyConnected)
            }
        }
    }

    fn link(&self) -> Arc<Link> {
        let address = self.address.clone();
        Link::new(address, self.key.clone(), self.digests)
    }

    fn linked(&self) -> Result<&Arc<Link>, ManagerError> {
        match &self.state {
            State::New => Err(ManagerError::NotConnected),
            State::Connected(link) => Ok(link),
            State::Started(started) => Ok(&started.link),
        }
    }

    /// Where the server listens, with the port that the system picked once it is
    /// started.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Creates an object of a registered type and gives a proxy of it. It costs a
    /// connection of its own, and so does dropping the last copy of the proxy.
    ///
    /// # Errors
    ///
    /// [`ManagerError`]: an unknown type is [`ManagerError::Refused`].
    pub fn create<P: From<Proxy>>(
        &self,
        typeid: &str,
        args: impl IntoArgs,
    ) -> Result<P, ManagerError> {
        Proxy::create(self.linked()?, typeid, args.into_args()).map(P::from)
    }

    /// A proxy of an object that was found in another object's value, such as a dict in a
    /// list.
    ///
    /// # Errors
    ///
    /// [`ManagerError`]: [`Refused`](ManagerError::Refused) if the object is gone.
    pub fn proxy<P: From<Proxy>>(&self, found: ProxyRef) -> Result<P, ManagerError> {
        Proxy::of_ref(self.linked()?, found).map(P::from)
    }

    /// The number of the server's objects that some client has a proxy of.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn number_of_objects(&self) -> Result<usize, ManagerError> {
        let count = self.linked()?.ask("number_of_objects", &[], PATIENCE)?;
        Ok(super::FromValue::from_value(count)?)
    }

    /// The server's objects and their reference counts, as text for people.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn debug_info(&self) -> Result<String, ManagerError> {
        let info = self.linked()?.ask("debug_info", &[], PATIENCE)?;
        Ok(super::FromValue::from_value(info)?)
    }

    /// Ends the server, even if another program started it. If this manager has started
    /// it in this process, waits for its process. A forked child's copy of a manager ends
    /// its parent's server too.
    ///
    /// # Errors
    ///
    /// [`ManagerError`]: [`Absent`](ManagerError::Absent) if it has already ended.
    pub fn shutdown(&mut self) -> Result<(), ManagerError> {
        match mem::replace(&mut self.state, State::New) {
            State::New => Err(ManagerError::NotConnected),
            State::Connected(link) => link.shut_down(PATIENCE),
            State::Started(started) if !started.is_ours() => {
                started.link.shut_down(PATIENCE)
            }
            State::Started(started) => started.end(),
        }
    }
}

impl Started {
    fn is_ours(&self) -> bool {
        self.owner == process::id()
    }

    fn end(&self) -> Result<(), ManagerError> {
        let closed = self.link.shut_down(PATIENCE);
        if closed.is_err() || !self.process.join_timeout(SHUTDOWN)? {
            self.process.kill()?;
        }
        self.process.join()?;
        closed
    }
}

impl Drop for BaseManager {
    fn drop(&mut self) {
        if let State::Started(started) = &self.state
            && started.is_ours()
        {
            // It fails if the server has already ended.
            started.end().ok();
        }
    }
}

impl fmt::Debug for BaseManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BaseManager")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A started manager of the ready-made types: Python's
/// [`multiprocessing.Manager()`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Manager).
///
/// # Errors
///
/// Those of [`BaseManager::start`].
///
/// ```no_run
/// // Not run: a test has threads, and a process that has threads must not fork.
/// use multiprocessing::managers::manager;
///
/// let manager = manager()?;
/// let l = manager.list(0..5)?;
/// l.append(1)?;
/// # Ok::<(), multiprocessing::managers::ManagerError>(())
/// ```
pub fn manager() -> Result<SyncManager, ManagerError> {
    let key = current_process().authkey().clone();
    let mut manager = SyncManager::new(Address::any(), key.as_bytes());
    manager.start()?;
    Ok(manager)
}

/// A manager with the ready-made types: Python's
/// [`SyncManager`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.managers.SyncManager).
///
/// It has all that [`BaseManager`] has. Its types are those of the threading module
/// and the plain containers; each method creates an object in the server and gives a
/// proxy of it. The example is at [the module](super).
#[derive(Debug)]
pub struct SyncManager {
    base: BaseManager,
}

impl SyncManager {
    /// A manager for this address and key.
    #[must_use]
    pub fn new(address: impl Into<Address>, key: impl Into<AuthKey>) -> Self {
        let mut base = BaseManager::new(address, key);
        types::register(&mut base);
        Self { base }
    }

    /// See [`BaseManager::digests`].
    #[must_use]
    pub fn digests(self, digests: Digests) -> Self {
        let base = self.base.digests(digests);
        Self { base }
    }

    /// See [`BaseManager::get_server`].
    ///
    /// # Errors
    ///
    /// Those of [`BaseManager::get_server`].
    pub fn get_server(self) -> Result<Server, ManagerError> {
        self.base.get_server()
    }

    /// See [`BaseManager::start`].
    ///
    /// # Errors
    ///
    /// Those of [`BaseManager::start`].
    pub fn start(&mut self) -> Result<(), ManagerError> {
        self.base.start()
    }

    /// See [`BaseManager::connect`].
    ///
    /// # Errors
    ///
    /// Those of [`BaseManager::connect`].
    pub fn connect(&mut self) -> Result<(), ManagerError> {
        self.base.connect()
    }

    /// See [`BaseManager::shutdown`].
    ///
    /// # Errors
    ///
    /// Those of [`BaseManager::shutdown`].
    pub fn shutdown(&mut self) -> Result<(), ManagerError> {
        self.base.shutdown()
    }

    /// See [`BaseManager::address`].
    #[must_use]
    pub fn address(&self) -> &Address {
        self.base.address()
    }

    /// See [`BaseManager::register`].
    pub fn register<M: Managed>(
        &mut self,
        typeid: &str,
        factory: impl Fn() -> Arc<M> + Send + Sync + 'static,
    ) {
        self.base.register(typeid, factory);
    }

    /// See [`BaseManager::register_with`].
    pub fn register_with<M: Managed>(
        &mut self,
        typeid: &str,
        factory: impl Fn(Arguments) -> Result<Arc<M>, Exception> + Send + Sync + 'static,
    ) {
        self.base.register_with(typeid, factory);
    }

    /// See [`BaseManager::create`].
    ///
    /// # Errors
    ///
    /// Those of [`BaseManager::create`].
    pub fn create<P: From<Proxy>>(
        &self,
        typeid: &str,
        args: impl IntoArgs,
    ) -> Result<P, ManagerError> {
        self.base.create(typeid, args)
    }

    /// See [`BaseManager::proxy`].
    ///
    /// # Errors
    ///
    /// Those of [`BaseManager::proxy`].
    pub fn proxy<P: From<Proxy>>(&self, found: ProxyRef) -> Result<P, ManagerError> {
        self.base.proxy(found)
    }

    /// See [`BaseManager::number_of_objects`].
    ///
    /// # Errors
    ///
    /// Those of [`BaseManager::number_of_objects`].
    pub fn number_of_objects(&self) -> Result<usize, ManagerError> {
        self.base.number_of_objects()
    }

    /// See [`BaseManager::debug_info`].
    ///
    /// # Errors
    ///
    /// Those of [`BaseManager::debug_info`].
    pub fn debug_info(&self) -> Result<String, ManagerError> {
        self.base.debug_info()
    }

    /// A queue that holds at most `maxsize` items; any number if it is 0.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn queue(&self, maxsize: usize) -> Result<QueueProxy, ManagerError> {
        self.create("Queue", (maxsize,))
    }

    /// The same: every managed queue can be joined.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn joinable_queue(
        &self,
        maxsize: usize,
    ) -> Result<QueueProxy, ManagerError> {
        self.create("JoinableQueue", (maxsize,))
    }

    /// A list of these items.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn list<T: Into<Value>>(
        &self,
        items: impl IntoIterator<Item = T>,
    ) -> Result<ListProxy, ManagerError> {
        let items: Vec<_> = items.into_iter().map(Into::into).collect();
        self.create("list", (Value::List(items.into()),))
    }

    /// A dict of these keys and values.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn dict<K: Into<Value>, V: Into<Value>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<DictProxy, ManagerError> {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| (key.into(), value.into()));
        self.create("dict", (Value::Dict(entries.collect()),))
    }

    /// An object with whatever attributes are set on it.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn namespace(&self) -> Result<NamespaceProxy, ManagerError> {
        self.create("Namespace", ())
    }

    /// One value. Only Python's `repr` shows the typecode: any value can be
    /// set.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn value(
        &self,
        typecode: char,
        value: impl Into<Value>,
    ) -> Result<ValueProxy, ManagerError> {
        self.create("Value", (typecode.to_string(), value.into()))
    }

    /// Numbers of one of the types of Python's
    /// [`array`](https://docs.python.org/3/library/array.html).
    ///
    /// # Errors
    ///
    /// [`ManagerError`]: numbers that do not fit the type are
    /// [`Raised`](ManagerError::Raised).
    pub fn array<T: Into<Value>>(
        &self,
        typecode: char,
        items: impl IntoIterator<Item = T>,
    ) -> Result<ArrayProxy, ManagerError> {
        let items: Vec<_> = items.into_iter().map(Into::into).collect();
        self.create("Array", (typecode.to_string(), items))
    }

    /// A lock that any client may release.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn lock(&self) -> Result<LockProxy, ManagerError> {
        self.create("Lock", ())
    }

    /// A lock that its owner may take again.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn rlock(&self) -> Result<LockProxy, ManagerError> {
        self.create("RLock", ())
    }

    /// A semaphore with this number of permits.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn semaphore(&self, permits: usize) -> Result<SemaphoreProxy, ManagerError> {
        self.create("Semaphore", (permits,))
    }

    /// A semaphore that never has more than this number of permits.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn bounded_semaphore(
        &self,
        permits: usize,
    ) -> Result<SemaphoreProxy, ManagerError> {
        self.create("BoundedSemaphore", (permits,))
    }

    /// A condition with this lock of the same manager, or with a re-entrant one of its
    /// own.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn condition(
        &self,
        lock: Option<&LockProxy>,
    ) -> Result<ConditionProxy, ManagerError> {
        self.create("Condition", (lock.map(Value::from),))
    }

    /// A flag that starts down.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn event(&self) -> Result<EventProxy, ManagerError> {
        self.create("Event", ())
    }

    /// A barrier for this number of clients.
    ///
    /// # Errors
    ///
    /// [`ManagerError`].
    pub fn barrier(&self, parties: usize) -> Result<BarrierProxy, ManagerError> {
        self.create("Barrier", (parties,))
    }
}
