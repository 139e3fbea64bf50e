//! The server: one thread for every connection, within limits.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::address::{Listener, SocketFile, Stream};
use super::auth;
use super::connection::{Connection, SendError};
use super::convert::Arguments;
use super::managed::{Answer, Caller, Managed, Reply};
use super::objects::{NoSuchObject, Object, Objects, Referent};
use super::pickle::{Exception, Reader, Token, Value};
use super::{Address, Digests};
use crate::AuthKey;
use crate::process::message_of;

/// How long a stranger may take to prove that it knows the key, and then to say what
/// it wants: as long as Python waits for a server.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// How many strangers are listened to at a time. The next one takes the place of the
/// one that has been silent for longest.
const MAX_STRANGERS: usize = 64;

/// How many authenticated connections are served at a time. Further ones are told so.
const MAX_CLIENTS: usize = 4096;

/// How long the end of the server waits for calls that are being carried out.
const FAREWELL: Duration = Duration::from_secs(1);

/// Makes an object of a registered type.
pub(super) type Factory =
    dyn Fn(Arguments) -> Result<Arc<dyn Managed>, Exception> + Send + Sync;

/// The types that clients can create objects of, by the names they were registered by.
pub(super) type Registry = HashMap<String, Arc<Factory>>;

/// A manager's server, bound to its address: Python's `BaseManager.get_server()`.
///
/// It serves in the process that calls [`serve_forever`](Self::serve_forever), where
/// Python's would. It accepts connections one by one, each of which gets a thread. A
/// connection that has not proved within 20 seconds that it knows the key is closed
/// and told no more than that it failed; only 64 of them are listened to at a time, the
/// newest.
///
/// A client that ends or dies loses what it held: its locks are free, and what it was
/// about to be given goes to somebody else.
///
/// # Limitations
///
/// The key keeps strangers out, but what crosses the network can be read by whoever
/// sits in between. Answers wait without end for a client that does not read them; it
/// only blocks its own thread. The limits of [sizes and numbers](super#limitations) are
/// those of the module.
///
/// ```
/// use multiprocessing::managers::{BaseManager, Methods, Proxy};
/// use std::{sync::Arc, thread};
///
/// let mut manager = BaseManager::new(("127.0.0.1", 0), b"abc");
/// manager.register("Maths", || {
///     Arc::new(Methods::new(()).method("add", |(), (a, b): (i64, i64)| Ok(a + b)))
/// });
/// let server = manager.get_server()?;
/// let address = server.address().clone();
/// thread::spawn(move || server.serve_forever());
///
/// let mut manager = BaseManager::new(&address, b"abc");
/// manager.connect()?;
/// let maths = manager.create::<Proxy>("Maths", ())?;
/// assert_eq!(maths.call::<i64>("add", (4, 3))?, 7);
/// manager.shutdown()?;
/// # Ok::<(), multiprocessing::managers::ManagerError>(())
/// ```
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    /// Readable once the server is to end.
    wake: UnixStream,
    shared: Arc<Shared>,
}

/// What all its threads use.
struct Shared {
    address: Address,
    key: AuthKey,
    digests: Digests,
    registry: Registry,
    objects: Mutex<Objects>,
    connections: Mutex<Connections>,
    /// A connection has ended or has become a client's.
    changed: Condvar,
    stopping: AtomicBool,
    /// Writing to it wakes the thread that accepts.
    waker: UnixStream,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Connections {
    /// How many there ever were.
    accepted: u64,
    /// Those that have not authenticated, the oldest first.
    strangers: BTreeMap<u64, Arc<Stream>>,
    /// Strangers that were turned away and whose threads have not yet noticed.
    turned_away: usize,
    clients: HashMap<u64, Arc<Stream>>,
}

impl Server {
    pub(super) fn bind(
        address: &Address,
        key: AuthKey,
        digests: Digests,
        registry: Registry,
    ) -> io::Result<Self> {
        let listener = Listener::bind(address)?;
        let (waker, wake) = UnixStream::pair()?;
        let shared = Arc::new(Shared {
            address: listener.address().clone(),
            key,
            digests,
            registry,
            objects: Mutex::new(Objects::new()),
            connections: Mutex::default(),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            waker,
        });
        Ok(Self {
            listener,
            wake,
            shared,
        })
    }

    /// Where it listens, with the port that the system picked.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.listener.address()
    }

    /// Serves until a client with the key asks it to shut down.
    pub fn serve_forever(self) {
        loop {
            let mut fds = [
                PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
            ];
            // An interrupted wait is begun again.
            let _interrupted = poll(&mut fds, PollTimeout::NONE);
            if self.shared.stopping.load(Ordering::Acquire) {
                break;
            }
            match self.listener.accept() {
                Ok(stream) => self.shared.admit(stream),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock
                    | ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted => {}
                    // No descriptors or no memory: strangers go first.
                    _ => {
                        self.shared.connections().turn_oldest_away();
                        thread::sleep(Duration::from_millis(10));
                    }
                },
            }
        }
        // From now on nobody waits at a door that nobody opens.
        drop(self.listener);
        self.shared.say_farewell();
    }

    /// See [`Listener::take_file`].
    pub(super) fn take_file(&mut self) -> Option<SocketFile> {
        self.listener.take_file()
    }
}

impl Connections {
    fn turn_oldest_away(&mut self) {
        if let Some((_, stream)) = self.strangers.pop_first() {
            stream.shut_down(Shutdown::Both);
            self.turned_away += 1;
        }
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Connections> {
        // Nothing that can panic runs under the lock.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        // Nothing that can panic runs under the lock.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a new connection a thread, once there is room for one more stranger.
    fn admit(self: &Arc<Self>, stream: Stream) {
        let mut connections = self.connections();
        while connections.strangers.len() + connections.turned_away >= MAX_STRANGERS
        {
            if connections.turned_away == 0 {
                connections.turn_oldest_away();
            }
            // A thread that ends in between is not missed: it needs the lock to say
            // so, which is given up only by waiting.
            connections = self
                .changed
                .wait(connections)
                .unwrap_or_else(PoisonError::into_inner);
        }
        connections.accepted += 1;
        let id = connections.accepted;
        let stream = Arc::new(stream);
        connections.strangers.insert(id, Arc::clone(&stream));
        drop(connections);

        let shared = Arc::clone(self);
        let name = format!("manager connection {id}");
        let thread = thread::Builder::new().name(name).spawn(move || {
            let ended = Ended {
                shared: &shared,
                id,
            };
            shared.serve(id, &stream);
            drop(ended);
        });
        if thread.is_err() {
            self.end(id);
        }
    }

    fn end(&self, id: u64) {
        let mut connections = self.connections();
        let was_known = connections.strangers.remove(&id).is_some()
            || connections.clients.remove(&id).is_some();
        if !was_known {
            connections.turned_away -= 1;
        }
        self.changed.notify_all();
    }

    /// The life of a connection. Whatever goes wrong with it ends it, and nothing else.
    fn serve(self: &Arc<Self>, id: u64, stream: &Arc<Stream>) {
        let deadline = Instant::now() + HANDSHAKE;
        let mut connection = Connection::new(Arc::clone(stream), deadline);
        let key = self.key.as_bytes();
        let known = auth::deliver_challenge(&mut connection, key, self.digests)
            .and_then(|()| {
                auth::answer_challenge(&mut connection, key, self.digests)
            });
        // Who failed was told so, and is told no more.
        if known.is_err() {
            return;
        }
        let is_client = self.make_client(id, stream);
        let Ok(Some(request)) = connection.receive() else {
            return;
        };
        let request = if is_client {
            self.read(request)
        } else {
            Err(format!(
                "RuntimeError: the server has {MAX_CLIENTS} connections, the most \
                 that it serves: end some of them"
            ))
        };
        if connection.wait_for_ever().is_err() {
            return;
        }
        // Nobody is left to be told where an answer cannot be sent.
        let _lost = match request {
            Ok(request) if request.method == "accept_connection" => {
                if connection.send_reply("#RETURN", &Value::None).is_ok() {
                    self.serve_client(id, stream, &mut connection);
                }
                Ok(())
            }
            Ok(request) if request.method == "shutdown" => {
                let sent = send(&mut connection, "#RETURN", &Value::None);
                self.stop();
                sent
            }
            Ok(request) => {
                let answer = catch_panic(|| Ok(self.serve_itself(request)));
                match answer.unwrap_or_else(|panic| Err(traceback(&panic))) {
                    Ok(value) => send(&mut connection, "#RETURN", &value),
                    Err(refusal) => refuse(&mut connection, &refusal),
                }
            }
            Err(refusal) => refuse(&mut connection, &refusal),
        };
    }

    /// The error is what to tell the client.
    fn read(&self, message: &[u8]) -> Result<Request, String> {
        let mut reader = Reader::new(message);
        let request = reader
            .read()
            .map_err(|error| format!("UnpicklingError: {error}"))?;
        let mut request = Request::of_value(request)
            .ok_or("ValueError: the request is malformed")?;
        if reader.has_proxies() {
            request.args.iter_mut().for_each(|value| self.keep(value));
            request
                .kwargs
                .iter_mut()
                .for_each(|(_, value)| self.keep(value));
        }
        Ok(request)
    }

    /// A stranger has proved that it knows the key. Returns whether there is room.
    fn make_client(&self, id: u64, stream: &Arc<Stream>) -> bool {
        let mut connections = self.connections();
        if connections.clients.len() >= MAX_CLIENTS
            || connections.strangers.remove(&id).is_none()
        {
            return false;
        }
        connections.clients.insert(id, Arc::clone(stream));
        self.changed.notify_all();
        true
    }

    /// The server's own functions.
    fn serve_itself(&self, request: Request) -> Result<Value, String> {
        let Request {
            method,
            args,
            kwargs,
            ..
        } = request;
        match (method.as_str(), args.as_slice()) {
            ("dummy", []) => Ok(Value::None),
            ("create", [Value::Str(_), ..]) => {
                let mut args = args.into_iter();
                let Some(Value::Str(typeid)) = args.next() else {
                    unreachable!("the arguments were looked at above");
                };
                let args = Arguments::new(args.collect(), kwargs);
                let object = self.create(&typeid, args)?;
                Ok((object.ident.as_str(), object.methods()).into())
            }
            ("incref", [Value::Str(ident)]) => {
                let done = self.objects().incref(ident);
                done.map(Value::from).map_err(|NoSuchObject| no_key(ident))
            }
            ("decref", [Value::Str(ident)]) => {
                let done = self.objects().decref(ident);
                // The table is free again when this drops what nobody holds.
                done.map(|_unheld| Value::None)
                    .map_err(|NoSuchObject| no_key(ident))
            }
            ("get_methods", [Value::Token(token)]) => {
                let object = self.objects().get(&token.ident);
                object
                    .map(|object| object.methods())
                    .ok_or_else(|| no_key(&token.ident))
            }
            ("number_of_objects", []) => Ok(self.objects().count().into()),
            ("debug_info", []) => Ok(self.debug_info().into()),
            (
                "dummy" | "create" | "incref" | "decref" | "get_methods"
                | "number_of_objects" | "debug_info",
                _,
            ) => Err(traceback(&Exception::type_error(format!(
                "{method}() got other arguments than it takes"
            )))),
            _ => Err(format!("AssertionError: '{method}' unrecognized")),
        }
    }

    fn create(&self, typeid: &str, args: Arguments) -> Result<Arc<Object>, String> {
        let factory = self.registry.get(typeid).ok_or_else(|| no_key(typeid))?;
        let made = factory(args).map_err(|error| traceback(&error))?;
        Ok(self.objects().add(typeid, made))
    }

    fn debug_info(&self) -> String {
        // Their texts are asked for when the table is free: they may take a while.
        let mut objects: Vec<_> = self
            .objects()
            .referenced()
            .map(|(object, references)| (Arc::clone(object), references))
            .collect();
        objects.sort_by(|(a, _), (b, _)| a.ident.cmp(&b.ident));
        let lines = objects.iter().map(|(object, references)| {
            let text = catch_panic(|| Ok(object.managed.repr()));
            let text = text.unwrap_or_else(|panic| panic.to_string());
            let text: String = text.chars().take(75).collect();
            let ident = &object.ident;
            format!("  {ident}:       refcount={references}\n    {text}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Carries out one client's calls until its connection ends.
    fn serve_client(
        self: &Arc<Self>,
        id: u64,
        stream: &Arc<Stream>,
        connection: &mut Connection,
    ) {
        let caller = Caller::new(id, Arc::clone(stream));
        // The objects that have to be told when this client is gone.
        let mut held: Held = Held {
            id,
            objects: HashMap::new(),
        };
        while !self.stopping.load(Ordering::Acquire) {
            let request = match connection.receive() {
                Ok(Some(request)) => self.read(request),
                Ok(None) | Err(_) => break,
            };
            // Whatever of the object's is called may panic.
            let done = request.and_then(|request| {
                catch_panic(|| Ok(self.carry_out(request, &caller, &mut held)))
                    .unwrap_or_else(|panic| Ok(Err(panic)))
            });
            let sent = match done {
                Ok(Ok(reply)) => self.answer(connection, reply.0),
                Ok(Err(exception)) => {
                    let exception = Value::Exception(Box::new(exception));
                    send(connection, "#ERROR", &exception)
                }
                Err(refusal) => refuse(connection, &refusal),
            };
            if sent.is_err() {
                break;
            }
        }
    }

    /// Calls a method. The outer error is the server's, the inner the method's.
    fn carry_out(
        &self,
        request: Request,
        caller: &Caller,
        held: &mut Held,
    ) -> Result<Result<Reply, Exception>, String> {
        let Value::Str(ident) = &request.target else {
            return Err(traceback(&Exception::type_error("an ident is no text")));
        };
        let object = self.objects().get(ident);
        let object = object.ok_or_else(|| no_key(ident))?;
        let managed = &object.managed;
        let method = request.method.as_str();
        if !managed.methods().contains(&method) {
            return match method {
                "__str__" | "__repr__" => Ok(Ok(managed.repr().into())),
                "#GETVALUE" => managed
                    .value()
                    .map(|value| Ok(value.into()))
                    .ok_or("TypeError: this object has no value to copy".into()),
                _ => Err(format!(
                    "AttributeError: method '{method}' of {} is not exposed",
                    object.typeid
                )),
            };
        }
        if managed.belongs_to_callers() {
            held.add(ident, managed);
        }
        let args = Arguments::new(request.args, request.kwargs);
        Ok(Arc::clone(managed).call(method, args, caller))
    }

    /// A proxy of one of our own objects keeps it alive wherever it is put.
    fn keep(&self, value: &mut Value) {
        match value {
            Value::Proxy(proxy) => {
                let object = self.objects().get(&proxy.token.ident);
                proxy.referent = object.map(Referent::new);
            }
            Value::Tuple(items)
            | Value::List(items)
            | Value::Set(items)
            | Value::FrozenSet(items) => {
                for item in items {
                    self.keep(item);
                }
            }
            Value::Dict(entries) => entries.iter_mut().for_each(|(key, value)| {
                self.keep(key);
                self.keep(value);
            }),
            _ => {}
        }
    }

    fn answer(
        &self,
        connection: &mut Connection,
        answer: Answer,
    ) -> Result<(), Lost> {
        match answer {
            Answer::Value(value) => send(connection, "#RETURN", &value),
            Answer::Taken(value, put_back) => {
                let sent = send(connection, "#RETURN", &value);
                if sent.is_err() {
                    call_safely(|| put_back(value));
                }
                sent
            }
            Answer::Object(typeid, managed) => {
                let object = self.objects().add(typeid, managed);
                let methods = match catch_panic(|| Ok(object.methods())) {
                    Ok(methods) => methods,
                    Err(panic) => {
                        let panic = Value::Exception(Box::new(panic));
                        return send(connection, "#ERROR", &panic);
                    }
                };
                let token = Value::Token(Box::new(Token {
                    typeid: typeid.into(),
                    address: self.address.clone(),
                    ident: object.ident.clone(),
                }));
                send(connection, "#PROXY", &(methods, token).into())
            }
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        // It can only be full of earlier calls of this.
        let _awake_already = (&self.waker).write(&[0]);
    }

    /// Ends all connections. Calls that are being carried out get their answers, if
    /// that is soon; those that wait for something end.
    fn say_farewell(&self) {
        let connections = self.connections();
        for stream in connections.strangers.values() {
            stream.shut_down(Shutdown::Both);
        }
        for stream in connections.clients.values() {
            // Nothing more is read, but what there is to say is still said.
            stream.shut_down(Shutdown::Read);
        }
        let any_left = |connections: &mut Connections| {
            !(connections.strangers.is_empty() && connections.clients.is_empty())
        };
        // A thread that ends in between is not missed: it needs the lock to say so.
        let _ended_or_late =
            self.changed
                .wait_timeout_while(connections, FAREWELL, any_left);
    }
}

/// Counts a connection's thread out, even if it panics.
struct Ended<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.shared.end(self.id);
    }
}

/// What a client may hold. It holds nothing any more once this is dropped.
struct Held {
    id: u64,
    /// Those that are gone by then need not be told.
    objects: HashMap<String, Weak<dyn Managed>>,
}

impl Held {
    fn add(&mut self, ident: &str, managed: &Arc<dyn Managed>) {
        if self.objects.contains_key(ident) {
            return;
        }
        // Often enough for a connection that uses one lock after the other, and seldom
        // enough for one that uses many.
        if self.objects.len().is_power_of_two() {
            self.objects.retain(|_, object| object.strong_count() > 0);
        }
        self.objects.insert(ident.into(), Arc::downgrade(managed));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for object in self.objects.values() {
            call_safely(|| {
                if let Some(object) = object.upgrade() {
                    object.forget(self.id);
                }
            });
        }
    }
}

/// The connection is of no more use.
struct Lost;

/// Sends an answer, or says that it cannot be pickled.
fn send(connection: &mut Connection, kind: &str, value: &Value) -> Result<(), Lost> {
    let sent = match connection.send_reply(kind, value) {
        Err(SendError::Pickle(error)) => {
            connection.send_reply("#UNSERIALIZABLE", &error.to_string().into())
        }
        sent => sent,
    };
    sent.map_err(|_| Lost)
}

/// Says that a request could not be carried out. Python shows the text between two
/// lines, and expects it to end like one.
fn refuse(connection: &mut Connection, refusal: &str) -> Result<(), Lost> {
    send(connection, "#TRACEBACK", &format!("{refusal}\n").into())
}

/// `(target, method, args, kwargs)`
struct Request {
    target: Value,
    method: String,
    args: Vec<Value>,
    kwargs: Vec<(String, Value)>,
}

impl Request {
    fn of_value(request: Value) -> Option<Self> {
        let Value::Tuple(parts) = request else {
            return None;
        };
        let [target, method, args, kwargs] = <[Value; 4]>::try_from(parts).ok()?;
        let Value::Str(method) = method else {
            return None;
        };
        let (Value::Tuple(args) | Value::List(args)) = args else {
            return None;
        };
        let Value::Dict(kwargs) = kwargs else {
            return None;
        };
        let kwargs = kwargs.into_iter().map(|(key, value)| match key {
            Value::Str(key) => Some((key, value)),
            _ => None,
        });
        Some(Self {
            target,
            method,
            args,
            kwargs: kwargs.collect::<Option<_>>()?,
        })
    }
}

fn no_key(key: &str) -> String {
    traceback(&Exception::key_error(key.into()))
}

/// What is told of a request that the server itself could not carry out. Python sends
/// its whole traceback, with the paths of its files.
fn traceback(exception: &Exception) -> String {
    exception.to_string()
}

/// A panic is the caller's exception, not the server's end.
fn catch_panic<T>(
    call: impl FnOnce() -> Result<T, Exception>,
) -> Result<T, Exception> {
    panic::catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(Exception::runtime_error(message_of(&*panic))))
}

/// For calls that nobody hears the end of.
fn call_safely(call: impl FnOnce()) {
    // The panic has been told on standard error.
    let _told = panic::catch_unwind(AssertUnwindSafe(call));
}
