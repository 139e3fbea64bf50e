//! A client's connections to a server, and what it sends and receives on them.

use std::cell::RefCell;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::managers::convert::FromValue;
use crate::managers::error::ManagerError;
use crate::managers::pickle::{ProxyRef, Reader, Token, Value};
use crate::managers::wire::{MessageStream, ReplyKind, Stream, auth};
use crate::managers::{Address, Digests};
use crate::poison::lock_unpoisoned;
use crate::visible::visible;
use crate::{AuthKey, current_process};

/// How long a server may take to answer on a new connection.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(20);

/// What all proxies of one server have in common.
pub(in crate::managers) struct Link {
    pub(in crate::managers) address: Address,
    key: AuthKey,
    pub(super) digests: Digests,
    /// The server was shut down from here: references need not be given back any more.
    closed: AtomicBool,
}

/// The links of this process, and of the one that it was forked from.
static LINKS: Mutex<Vec<Weak<Link>>> = Mutex::new(Vec::new());

fn links() -> MutexGuard<'static, Vec<Weak<Link>>> {
    lock_unpoisoned(&LINKS)
}

/// What a server replies, unless it is an error.
pub(super) enum ServerReply {
    Value(Value),
    /// A new object; its only reference is the receiver's.
    Proxy {
        token: Token,
        exposed: Vec<String>,
    },
}

impl Link {
    pub(in crate::managers) fn new(
        address: Address,
        key: AuthKey,
        digests: Digests,
    ) -> Arc<Self> {
        Self::enlist(&mut links(), address, key, digests)
    }

    /// A link of this process to this address with this key, a new one if there is none.
    ///
    /// To a server a thread's connection is its client. A proxy that arrives here must
    /// use the connection of those that are here: otherwise a lock that this thread holds
    /// by one of them would be another client's, and waiting for it would never end.
    pub(super) fn find_or_new(
        address: &Address,
        key: &AuthKey,
        digests: Digests,
    ) -> Arc<Self> {
        let mut links = links();
        let mut known = links.iter().filter_map(Weak::upgrade);
        let found = known.find(|link| {
            (&link.address, &link.key, link.digests) == (address, key, digests)
                && !link.is_closed()
        });
        found.unwrap_or_else(|| {
            Self::enlist(&mut links, address.clone(), key.clone(), digests)
        })
    }

    fn enlist(
        links: &mut Vec<Weak<Self>>,
        address: Address,
        key: AuthKey,
        digests: Digests,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            address,
            key,
            digests,
            closed: AtomicBool::new(false),
        });
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(&link));
        link
    }

    /// A connection on which both sides have proved that they know the key. Everything
    /// on it must be through when the time is up.
    fn dial(&self, timeout: Duration) -> Result<MessageStream, ManagerError> {
        let deadline = Instant::now() + timeout;
        let address = &self.address;
        let stream = Stream::connect(address, timeout).map_err(|source| {
            ManagerError::Absent {
                address: address.clone(),
                source,
            }
        })?;
        let mut connection = MessageStream::new(Arc::new(stream), deadline);
        let key = self.key.as_bytes();
        auth::answer_challenge(&mut connection, key, self.digests)
            .and_then(|()| {
                auth::deliver_challenge(&mut connection, key, self.digests)
            })
            .map_err(ManagerError::auth(address))?;
        Ok(connection)
    }

    /// [`dial`](Self::dial)s for requests that may take any time.
    pub(super) fn dial_patiently(&self) -> Result<MessageStream, ManagerError> {
        let mut connection = self.dial(HANDSHAKE)?;
        connection
            .wait_for_ever()
            .map_err(|source| ManagerError::Absent {
                address: self.address.clone(),
                source,
            })?;
        Ok(connection)
    }

    /// Calls a function of the server itself, on a connection that ends with the reply,
    /// which must come in time.
    pub(in crate::managers) fn ask(
        &self,
        function: &str,
        args: &[Value],
        timeout: Duration,
    ) -> Result<Value, ManagerError> {
        self.ask_on(self.dial(timeout)?, function, args)
    }

    pub(super) fn ask_on(
        &self,
        mut connection: MessageStream,
        function: &str,
        args: &[Value],
    ) -> Result<Value, ManagerError> {
        let keep = &mut |_: &mut _| {};
        match self.exchange(&mut connection, None, function, args, &[], keep)? {
            ServerReply::Value(value) => Ok(value),
            ServerReply::Proxy { .. } => {
                Err(self.protocol("it replies with a proxy"))
            }
        }
    }

    /// Calls an object's method on the calling thread's own connection. `keep` gets every
    /// proxy in the reply.
    pub(super) fn call(
        self: &Arc<Self>,
        ident: &str,
        method: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
        keep: &mut dyn FnMut(&mut ProxyRef),
    ) -> Result<ServerReply, ManagerError> {
        let mut connection = match take_connection(self) {
            Some(connection) => connection,
            None => self.open_for_calls()?,
        };
        let answer =
            self.exchange(&mut connection, Some(ident), method, args, kwargs, keep);
        // After any other error the connection can be used for the next call.
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

    fn open_for_calls(&self) -> Result<MessageStream, ManagerError> {
        let mut connection = self.dial_patiently()?;
        let mut name = current_process().name().to_owned();
        if let Some(thread) =
            thread::current().name().filter(|&thread| thread != "main")
        {
            name = format!("{name}|{thread}");
        }
        let args = [name.into()];
        let keep = &mut |_: &mut _| {};
        let function = "accept_connection";
        self.exchange(&mut connection, None, function, &args, &[], keep)?;
        Ok(connection)
    }

    fn exchange(
        &self,
        connection: &mut MessageStream,
        target: Option<&str>,
        method: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
        keep: &mut dyn FnMut(&mut ProxyRef),
    ) -> Result<ServerReply, ManagerError> {
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
        let reply = Reader::new(reply).read_with(keep)?;
        let Value::Tuple(parts) = reply else {
            return Err(self.protocol("its reply is not a pair"));
        };
        let Ok([Value::Str(kind), value]) =
            <[Value; 2]>::try_from(parts.into_inner())
        else {
            return Err(self.protocol("its reply is not a pair"));
        };
        match (ReplyKind::from_name(&kind), value) {
            (Some(ReplyKind::Return), value) => Ok(ServerReply::Value(value)),
            (Some(ReplyKind::Error), Value::Exception(exception)) => {
                Err(exception.into_inner().into())
            }
            (Some(ReplyKind::Proxy), value) => {
                let parts = <(Vec<String>, Value)>::from_value(value);
                let Ok((exposed, Value::Token(token))) = parts else {
                    return Err(self.protocol("its proxy lacks its parts"));
                };
                Ok(ServerReply::Proxy {
                    token: *token,
                    exposed,
                })
            }
            (
                Some(ReplyKind::Traceback | ReplyKind::Unserializable),
                Value::Str(text),
            ) => Err(ManagerError::Refused(last_line(&text))),
            _ => Err(self.protocol("its reply is of an unknown kind")),
        }
    }

    /// Asks the server to end.
    pub(in crate::managers) fn shut_down(
        &self,
        timeout: Duration,
    ) -> Result<(), ManagerError> {
        let closed = self.ask("shutdown", &[], timeout);
        self.closed.store(true, Ordering::Relaxed);
        closed.map(drop)
    }

    /// Whether the server was shut down from here.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn protocol(&self, what: &str) -> ManagerError {
        ManagerError::Protocol {
            address: self.address.clone(),
            what: what.into(),
        }
    }
}

/// The line of a traceback that names the error.
fn last_line(text: &str) -> String {
    let lines = text.split('\n').map(str::trim);
    let line = lines
        .rev()
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    visible(line.trim_end_matches('.'))
}

/// A connection that waits for its thread's next call.
struct Idle {
    link: Weak<Link>,
    /// The process that opened it: after a fork both would write to it.
    owner: u32,
    connection: MessageStream,
}

thread_local! {
    /// This thread's connections, one for each server. To a server its connection is the
    /// thread, and so the owner of the thread's locks.
    static IDLE: RefCell<Vec<Idle>> = const { RefCell::new(Vec::new()) };
}

fn take_connection(link: &Arc<Link>) -> Option<MessageStream> {
    IDLE.with_borrow_mut(|idle| {
        let place = idle
            .iter()
            .position(|idle| idle.link.as_ptr() == Arc::as_ptr(link))?;
        let idle = idle.swap_remove(place);
        (idle.owner == process::id()).then_some(idle.connection)
    })
}

fn keep_connection(link: &Arc<Link>, connection: MessageStream) {
    IDLE.with_borrow_mut(|idle| {
        // Closes the connections to servers of which no proxy is left.
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
        // It fails in a thread that is about to end, and whose connections end anyway.
        IDLE.try_with(|idle| {
            if let Ok(mut idle) = idle.try_borrow_mut() {
                idle.retain(|idle| idle.link.strong_count() > 0);
            }
        })
        .ok();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::managers::wire::Listener;

    #[test]
    fn a_server_that_sends_nothing_is_given_up_in_time() {
        let listener = Listener::bind(&("127.0.0.1", 0).into()).unwrap();
        let address = listener.address().clone();
        let link = Link::new(address, b"abc".into(), Digests::All);
        let late = link.ask("dummy", &[], Duration::from_millis(200));
        let late = late.unwrap_err();
        assert!(matches!(late, ManagerError::TimedOut { .. }), "{late:?}");
        assert!(
            late.to_string().contains("has not answered in time"),
            "{late}"
        );
    }

    #[test]
    fn a_reply_that_arrives_byte_by_byte_is_bound_by_the_deadline() {
        let listener = Listener::bind(&("127.0.0.1", 0).into()).unwrap();
        let address = listener.address().clone();
        let link = Link::new(address, b"abc".into(), Digests::All);
        thread::scope(|s| {
            s.spawn(|| {
                let stream = loop {
                    if let Ok(stream) = listener.accept() {
                        break Arc::new(stream);
                    }
                    thread::sleep(Duration::from_millis(1));
                };
                let deadline = Instant::now() + HANDSHAKE;
                let mut connection =
                    MessageStream::new(Arc::clone(&stream), deadline);
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
