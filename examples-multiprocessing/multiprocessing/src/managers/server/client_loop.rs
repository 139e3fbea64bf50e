//! The calls of one client, which is one thread of a program.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::Shared;
use super::request::{Request, no_key, traceback};
use crate::managers::convert::Arguments;
use crate::managers::managed::{Caller, Managed, Reply, ReplyContent};
use crate::managers::pickle::{
    Exception, Keeper, Token, Value, begin_request, work_for,
};
use crate::managers::wire::{MessageStream, ReplyKind, SendError, Stream};
use crate::process::message_of;
use crate::sys::heap::give_back;

impl Shared {
    /// Carries out one client's calls until its connection ends.
    pub(super) fn serve_client(
        self: &Arc<Self>,
        id: u64,
        stream: &Arc<Stream>,
        messages: &mut MessageStream,
    ) {
        work_for(stream);
        let caller = Caller::new(id, Arc::clone(stream));
        let mut locks = ClientLocks::new(id);
        // What the last reply gave the client proxies of. A client registers a proxy on
        // another connection while it reads the reply: until its next request on this
        // one nothing else may keep the object alive.
        let mut given: Vec<Keeper> = Vec::new();
        let mut has_been_large = false;
        while !self.stopping.load(Ordering::Acquire) {
            let request = match messages.receive() {
                Ok(Some(request)) => self.read(request),
                Ok(None) | Err(_) => break,
            };
            let was_large = match &request {
                Ok(request) => request.memory > LARGE,
                Err(_) => true,
            };
            given.clear();
            // Whatever of the object's is called may panic.
            let done = request.and_then(|request| {
                catch_panic(|| Ok(self.carry_out(request, &caller, &mut locks)))
                    .unwrap_or_else(|panic| Ok(Err(panic)))
            });
            let sent = match done {
                Ok(Ok(reply)) => self.reply(messages, reply.0),
                Ok(Err(exception)) => send_exception(messages, exception),
                Err(refusal) => refuse(messages, &refusal),
            };
            match sent {
                Ok(keepers) => given = keepers,
                Err(Lost) => break,
            }
            if was_large {
                give_back();
                has_been_large = true;
            }
        }
        if has_been_large {
            // What the client had, its objects have lost by now, or will have soon.
            drop(given);
            give_back();
        }
    }

    /// Calls a method. The outer error is the server's, the inner the method's.
    fn carry_out(
        &self,
        request: Request,
        caller: &Caller,
        locks: &mut ClientLocks,
    ) -> Result<Result<Reply, Exception>, String> {
        let Value::Str(ident) = &request.target else {
            return Err(traceback(&Exception::type_error(
                "the name of an object must be a str",
            )));
        };
        let object = self.objects().get(ident);
        let object = object.ok_or_else(|| no_key(ident))?;
        let managed = &object.managed;
        let method = request.method.as_str();
        begin_request();
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
            locks.add(ident, managed);
        }
        let args = Arguments::new(request.args, request.kwargs);
        Ok(Arc::clone(managed).call(method, args, caller))
    }

    fn reply(
        &self,
        messages: &mut MessageStream,
        content: ReplyContent,
    ) -> Result<Vec<Keeper>, Lost> {
        match content {
            ReplyContent::Value(value) => send(messages, ReplyKind::Return, &value),
            ReplyContent::Taken(value, put_back) => {
                let sent = send(messages, ReplyKind::Return, &value);
                if sent.is_err() {
                    call_safely(|| put_back(value));
                }
                sent
            }
            ReplyContent::Object(typeid, managed) => {
                self.reply_object(messages, typeid, managed)
            }
        }
    }

    /// Gives the client a new object, whose only reference is the client's.
    fn reply_object(
        &self,
        messages: &mut MessageStream,
        typeid: &'static str,
        managed: Arc<dyn Managed>,
    ) -> Result<Vec<Keeper>, Lost> {
        let object = self.objects().add(typeid, managed);
        let sent = match catch_panic(|| Ok(object.methods())) {
            Ok(methods) => {
                let token = Value::Token(Box::new(Token {
                    typeid: typeid.into(),
                    address: self.address.clone(),
                    ident: object.ident.clone(),
                }));
                let sent =
                    send(messages, ReplyKind::Proxy, &(methods, token).into());
                if sent.is_ok() {
                    return sent;
                }
                sent
            }
            Err(panic) => send_exception(messages, panic),
        };
        // The client does not know of the object.
        let unreferenced = self.objects().decref(&object.ident);
        drop(unreferenced);
        sent
    }
}

/// A request that takes more memory than this has the allocator give back what is free
/// afterwards. It takes about as long as to fill so much memory.
const LARGE: usize = 16 << 20;

/// The objects that a client may hold, locks and permits. Dropping this makes them
/// forget the client.
struct ClientLocks {
    client: u64,
    /// Weak: an object that is gone has nothing to forget.
    objects: HashMap<String, Weak<dyn Managed>>,
}

impl ClientLocks {
    fn new(client: u64) -> Self {
        Self {
            client,
            objects: HashMap::new(),
        }
    }

    fn add(&mut self, ident: &str, managed: &Arc<dyn Managed>) {
        if self.objects.contains_key(ident) {
            return;
        }
        // Removes what is gone: each time the number has doubled is often enough for a
        // client that uses one lock after the other, and cheap for one that uses many.
        if self.objects.len().is_power_of_two() {
            self.objects.retain(|_, object| object.strong_count() > 0);
        }
        self.objects.insert(ident.into(), Arc::downgrade(managed));
    }
}

impl Drop for ClientLocks {
    fn drop(&mut self) {
        for object in self.objects.values() {
            call_safely(|| {
                if let Some(object) = object.upgrade() {
                    object.forget(self.client);
                }
            });
        }
    }
}

/// The connection cannot be used any more.
pub(super) struct Lost;

/// Sends a reply, or says that its value cannot be sent.
pub(super) fn send(
    messages: &mut MessageStream,
    kind: ReplyKind,
    value: &Value,
) -> Result<Vec<Keeper>, Lost> {
    let sent = match messages.send_reply(kind, value) {
        Err(SendError::Pickle(error)) => {
            messages.send_reply(ReplyKind::Unserializable, &error.to_string().into())
        }
        sent => sent,
    };
    sent.map_err(|_| Lost)
}

fn send_exception(
    messages: &mut MessageStream,
    exception: Exception,
) -> Result<Vec<Keeper>, Lost> {
    let exception = Value::Exception(exception.into());
    send(messages, ReplyKind::Error, &exception)
}

/// Says that a request could not be carried out. Python shows the text between two
/// lines, and expects it to end like one.
pub(super) fn refuse(
    messages: &mut MessageStream,
    refusal: &str,
) -> Result<Vec<Keeper>, Lost> {
    send(
        messages,
        ReplyKind::Traceback,
        &format!("{refusal}\n").into(),
    )
}

/// Turns a panic into the caller's exception: the server continues.
pub(super) fn catch_panic<T>(
    call: impl FnOnce() -> Result<T, Exception>,
) -> Result<T, Exception> {
    panic::catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(Exception::runtime_error(message_of(&*panic))))
}

/// For calls without a receiver of the result. The panic hook has reported a panic.
fn call_safely(call: impl FnOnce()) {
    panic::catch_unwind(AssertUnwindSafe(call)).ok();
}
