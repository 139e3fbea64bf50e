//! The beginning of every connection: proof of the key, then the first request.

use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use super::client_loop::{catch_panic, refuse, send};
use super::request::{Request, traceback};
use crate::managers::pickle::Value;
use crate::managers::wire::{MessageStream, ReplyKind, Stream, auth};

/// Serves a connection until it ends. Whatever goes wrong with it ends this connection
/// and nothing else.
pub(super) fn serve_connection(shared: &Arc<Shared>, id: u64, stream: &Arc<Stream>) {
    let deadline = Instant::now() + shared.limits.handshake;
    let mut messages = MessageStream::new(Arc::clone(stream), deadline);
    if prove_key(shared, &mut messages).is_err() {
        // The peer has already been told that authentication failed, and learns
        // nothing else.
        return;
    }
    let has_room = shared.connections.promote(id, shared.limits.clients);
    let Ok(Some(request)) = messages.receive() else {
        return;
    };
    let request = if has_room {
        shared.read(request)
    } else {
        let most = shared.limits.clients;
        Err(format!(
            "RuntimeError: the server already has {most} connections, the most that it \
             serves: close some of them"
        ))
    };
    if messages.wait_for_ever().is_err() {
        return;
    }
    serve_first(shared, id, stream, &mut messages, request);
}

/// Each side proves to the other that it knows the key.
fn prove_key(
    shared: &Shared,
    messages: &mut MessageStream,
) -> Result<(), auth::AuthError> {
    let key = shared.key.as_bytes();
    auth::deliver_challenge(messages, key, shared.digests)?;
    auth::answer_challenge(messages, key, shared.digests)
}

/// The first request is a function of the server's own. One of them makes the
/// connection a client's; after any other it ends.
fn serve_first(
    shared: &Arc<Shared>,
    id: u64,
    stream: &Arc<Stream>,
    messages: &mut MessageStream,
    request: Result<Request, String>,
) {
    // A reply that cannot be sent has no receiver any more, so the results are dropped.
    match request {
        Ok(request) if request.method == "accept_connection" => {
            if send(messages, ReplyKind::Return, &Value::None).is_ok() {
                shared.serve_client(id, stream, messages);
            }
        }
        Ok(request) if request.method == "shutdown" => {
            send(messages, ReplyKind::Return, &Value::None).ok();
            shared.stop();
        }
        Ok(request) => {
            let created = (request.method == "create").then_some(());
            let reply = catch_panic(|| Ok(shared.serve_itself(request)));
            match reply.unwrap_or_else(|panic| Err(traceback(&panic))) {
                Ok(value) => {
                    let sent = send(messages, ReplyKind::Return, &value);
                    if sent.is_err() && created.is_some() {
                        shared.take_back_created(&value);
                    }
                }
                Err(refusal) => {
                    refuse(messages, &refusal).ok();
                }
            }
        }
        Err(refusal) => {
            refuse(messages, &refusal).ok();
        }
    }
}
