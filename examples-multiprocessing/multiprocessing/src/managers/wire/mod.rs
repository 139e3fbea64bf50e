//! What travels between a client and a server: streams, frames, the challenge, messages.

pub(super) mod auth;
pub(super) mod frame;
mod message_stream;
mod reply_kind;
mod stream;

pub(super) use message_stream::{MessageStream, SendError};
pub(super) use reply_kind::ReplyKind;
pub(super) use stream::{Listener, SocketFile, Stream};
