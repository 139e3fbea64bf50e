//! The server: one thread for every connection, within limits.
//!
//! `connections` accepts them and keeps the limits, `handshake` is the beginning of each,
//! `request` what is read from it. `functions` are the server's own, `client_loop` the
//! calls of a client on its `objects`.

mod client_loop;
mod connections;
mod functions;
mod handshake;
mod objects;
mod request;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::convert::Arguments;
use super::managed::Managed;
use super::pickle::{Exception, begin_request};
use super::wire::{Listener, SocketFile, Stream};
use super::{Address, Digests};
use crate::AuthKey;
use crate::poison::lock_unpoisoned;

use connections::Connections;
use objects::{Objects, keeper_of};
use request::Request;

pub(super) use connections::Limits;
pub(super) use objects::target_of;

/// Makes an object of a registered type.
pub(super) type Factory =
    dyn Fn(Arguments) -> Result<Arc<dyn Managed>, Exception> + Send + Sync;

/// The types that clients can create objects of, by the names they were registered by.
pub(super) type Registry = HashMap<String, Arc<Factory>>;

/// How long the server goes on without a descriptor for a new client before it refuses
/// clients: one may come free.
const PATIENCE: Duration = Duration::from_secs(1);

/// A manager's server, bound to its address: Python's `BaseManager.get_server()`.
///
/// It serves in the process that calls [`serve_forever`](Self::serve_forever). Each
/// connection gets a thread. A connection that has not proved within 20 seconds that it
/// knows the key is closed, and learns no more than that it failed; at most 64
/// connections may be at this stage, and one more takes the place of the oldest.
///
/// A client that ends or dies loses what it held: its locks are released, and an item
/// that was being given to it goes to another client.
///
/// # Limitations
///
/// The key keeps strangers out, but whoever sits between a client and the server can
/// read what crosses the network. A reply waits without end for a client that does not
/// read it; only that client's own thread is blocked. The limits of [sizes and numbers](super#limitations) are
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
    /// Readable once the server has to end.
    wake: UnixStream,
    /// A descriptor that is closed to accept, and refuse, a client when there is no other.
    spare: Option<UnixStream>,
    shared: Arc<Shared>,
}

/// What all threads of a server use.
struct Shared {
    address: Address,
    key: AuthKey,
    digests: Digests,
    limits: Limits,
    registry: Registry,
    objects: Mutex<Objects>,
    connections: Connections,
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

impl Server {
    pub(super) fn bind(
        address: &Address,
        key: AuthKey,
        digests: Digests,
        limits: Limits,
        registry: Registry,
    ) -> io::Result<Self> {
        let listener = Listener::bind(address)?;
        let (waker, wake) = UnixStream::pair()?;
        let shared = Arc::new(Shared {
            address: listener.address().clone(),
            key,
            digests,
            limits,
            registry,
            objects: Mutex::new(Objects::new()),
            connections: Connections::default(),
            stopping: AtomicBool::new(false),
            waker,
        });
        Ok(Self {
            listener,
            spare: Some(wake.try_clone()?),
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
    pub fn serve_forever(mut self) {
        let mut lacking_since = None;
        loop {
            let mut fds = [
                PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
            ];
            // After an interrupted wait `accept` finds nothing, and the loop waits again.
            poll(&mut fds, PollTimeout::NONE).ok();
            if self.shared.stopping.load(Ordering::Acquire) {
                break;
            }
            match self.listener.accept() {
                Ok(stream) => {
                    lacking_since = None;
                    self.keep_spare();
                    self.shared.admit(stream);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock
                    | ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted => {}
                    // No descriptors or no memory: connections without a proof of the
                    // key are closed first.
                    _ => {
                        let since = *lacking_since.get_or_insert_with(Instant::now);
                        if !self.shared.connections.turn_oldest_away()
                            && since.elapsed() > PATIENCE
                        {
                            self.refuse();
                        }
                        thread::sleep(Duration::from_millis(10));
                    }
                },
            }
        }
        // From now on a new client is refused instead of waiting to be accepted.
        drop(self.listener);
        self.shared
            .connections
            .shut_down(self.shared.limits.shutdown);
    }

    /// Closes the connection of the client that has waited longest, which would otherwise
    /// wait as long as a handshake may take.
    fn refuse(&mut self) {
        self.spare = None;
        drop(self.listener.accept());
        self.keep_spare();
    }

    /// Takes the spare descriptor again. If there is none, since another thread was faster,
    /// this is tried again whenever a client was accepted or is to be refused.
    fn keep_spare(&mut self) {
        if self.spare.is_none() {
            self.spare = self.wake.try_clone().ok();
        }
    }

    /// See [`Listener::take_file`].
    pub(super) fn take_file(&mut self) -> Option<SocketFile> {
        self.listener.take_file()
    }
}

impl Shared {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        lock_unpoisoned(&self.objects)
    }

    fn read(&self, message: &[u8]) -> Result<Request, String> {
        begin_request();
        // The proxies in it keep this server's objects alive, wherever they are put.
        Request::read(message, &mut |proxy| {
            proxy.keeper = self.objects().get(&proxy.token.ident).map(keeper_of);
        })
    }

    /// Gives a new connection a thread, once there is room for it.
    fn admit(self: &Arc<Self>, stream: Stream) {
        let stream = Arc::new(stream);
        let id = self.connections.admit(&stream, self.limits.unauthenticated);
        let shared = Arc::clone(self);
        let name = format!("manager connection {id}");
        let thread = thread::Builder::new().name(name).spawn(move || {
            let ended = Ended {
                connections: &shared.connections,
                id,
            };
            handshake::serve_connection(&shared, id, &stream);
            drop(ended);
        });
        if thread.is_err() {
            self.connections.end(id);
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        // It fails if the thread has ended already.
        (&self.waker).write_all(&[0]).ok();
    }
}

/// Reports the end of a connection's thread, even if it panics.
struct Ended<'a> {
    connections: &'a Connections,
    id: u64,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.connections.end(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Shutdown, TcpStream};

    use super::*;
    use crate::managers::client::Link;
    use crate::managers::{ManagerError, Proxy};

    /// Far more than anything here takes: only a hang reaches it.
    const HANG: Duration = Duration::from_secs(20);

    /// A server with these limits, and how to reach it. The server ends with the test
    /// program.
    fn served(limits: Limits) -> (Arc<Link>, Address) {
        let factory: Arc<Factory> = Arc::new(|_| {
            let methods = crate::managers::Methods::new(());
            let methods = methods.method("call", |(), ()| Ok(()));
            Ok(Arc::new(methods) as Arc<dyn Managed>)
        });
        let registry = Registry::from([("Object".to_owned(), factory)]);
        let address = ("127.0.0.1", 0).into();
        let key = AuthKey::from(b"abc");
        let server =
            Server::bind(&address, key.clone(), Digests::All, limits, registry);
        let server = server.unwrap();
        let address = server.address().clone();
        thread::spawn(move || server.serve_forever());
        let link = Link::new(address.clone(), key, Digests::All);
        (link, address)
    }

    fn dial(address: &Address) -> TcpStream {
        let stream = TcpStream::connect(address.to_string()).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream
    }

    /// Reads until the server closes the connection.
    fn is_closed(mut stream: &TcpStream) -> bool {
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    #[test]
    fn a_connection_without_a_proof_of_the_key_is_closed_in_time() {
        let (_, address) = served(Limits {
            handshake: Duration::from_millis(100),
            ..Limits::default()
        });
        let start = Instant::now();
        assert!(is_closed(&dial(&address)));
        assert!(start.elapsed() < HANG / 2, "{:?}", start.elapsed());
    }

    #[test]
    fn the_oldest_of_too_many_unauthenticated_connections_is_closed() {
        let (link, address) = served(Limits {
            unauthenticated: 2,
            handshake: 10 * HANG,
            ..Limits::default()
        });
        let streams = [dial(&address), dial(&address), dial(&address)];
        assert!(is_closed(&streams[0]));
        // Clients with the key still get in.
        link.ask("dummy", &[], HANG).unwrap();
        for stream in streams {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    #[test]
    fn a_client_more_than_the_limit_is_refused_in_a_sentence() {
        let (link, _) = served(Limits {
            clients: 1,
            ..Limits::default()
        });
        let object = Proxy::create(&link, "Object", Vec::new()).unwrap();
        // The connection of the creation may not have ended yet.
        let start = Instant::now();
        while object.call::<()>("call", ()).is_err() {
            assert!(start.elapsed() < HANG);
            thread::sleep(Duration::from_millis(1));
        }
        let refused = link.ask("dummy", &[], HANG).unwrap_err();
        let ManagerError::Refused(text) = &refused else {
            panic!("{refused:?}")
        };
        assert!(text.contains("already has 1 connections"), "{text}");
    }
}
