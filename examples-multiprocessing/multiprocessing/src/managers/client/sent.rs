//! A proxy as a value that travels between processes.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::link::Link;
use super::proxy::Proxy;
use crate::current_process;
use crate::managers::Digests;
use crate::managers::error::ManagerError;
use crate::managers::pickle::Token;

/// What travels. The key does not.
#[derive(Serialize, Deserialize)]
struct Sent {
    token: Token,
    exposed: Vec<String>,
    /// What the sender has ruled out stays so for the receiver.
    digests: Digests,
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = &*self.inner;
        let sent = Sent {
            token: Token {
                // The one that has led there from here, not the server's own idea of it.
                address: inner.link.address.clone(),
                ..inner.token.clone()
            },
            exposed: inner.exposed.clone(),
            digests: inner.link.digests,
        };
        sent.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sent = Sent::deserialize(deserializer)?;
        let key = current_process().authkey().clone();
        let link = Link::find_or_new(&sent.token.address, &key, sent.digests);
        Self::register_new(&link, sent.token, sent.exposed).map_err(|error| {
            match error {
                ManagerError::WrongKey { address } => D::Error::custom(format!(
                    "the manager at {address} has another authkey than this process: \
                     call set_authkey with the manager's key before its proxies arrive"
                )),
                // The server does not know the name of the object. A refusal is only a
                // text on the wire: the last line of a traceback, ours and Python's.
                ManagerError::Refused(text) if text.starts_with("KeyError") => {
                    D::Error::custom(
                        "the managed object is gone: its sender must keep a proxy of \
                         it until the message has arrived",
                    )
                }
                error => D::Error::custom(error),
            }
        })
    }
}
