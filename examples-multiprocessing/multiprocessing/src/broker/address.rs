//! The address of a queue at a broker.

use std::sync::Arc;
use std::time::Instant;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, Value};

use super::link::{Link, PATIENCE};
use super::scripts::Scripts;
use super::{BrokerError, DEFAULT_QUEUE};

/// The address of a queue at a broker, with the prefix of its keys. Cheap to clone.
#[derive(Clone)]
pub(super) struct QueueAddress {
    pub(super) client: Client,
    /// Host and port, without the password that the address may have.
    pub(super) at: Arc<str>,
    /// The prefix of all keys of the queue.
    prefix: Arc<str>,
    pub(super) scripts: Arc<Scripts>,
}

impl QueueAddress {
    /// The address of the queue of this name; an empty one stands for the default.
    pub(super) fn new(url: &str, queue: &str) -> Result<Self, BrokerError> {
        let queue = if queue.is_empty() {
            DEFAULT_QUEUE
        } else {
            queue
        };
        let refused = |error: redis::RedisError| BrokerError::Address {
            // The whole error might contain the password.
            why: error.detail().unwrap_or("it cannot be read").to_owned(),
        };
        let info = url.into_connection_info().map_err(refused)?;
        // Each command is written in one piece, so that a delay would gain nothing.
        let no_delay = TcpSettings::default().set_nodelay(true);
        // The crate would send its name and wait for the answer: a connection that hangs
        // would be given up after twice the limit.
        let nameless = info.redis_settings().clone().set_skip_set_lib_name();
        let info = info.set_tcp_settings(no_delay).set_redis_settings(nameless);
        let client = Client::open(info).map_err(refused)?;
        let at = match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port)
            | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}"),
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => "this address".to_owned(),
        };
        Ok(Self {
            client,
            at: at.into(),
            prefix: format!("mp:{{{queue}}}:").into(),
            scripts: Arc::new(Scripts::new()),
        })
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn link(&self) -> Link {
        Link::new(self.clone())
    }

    /// A link that has connected to a broker that keeps its tasks on disk; if
    /// `may_forget` is set, to any broker that is not too old.
    pub(super) fn checked(&self, may_forget: bool) -> Result<Link, BrokerError> {
        let mut link = self.link();
        let until = Instant::now() + PATIENCE;
        // A broker that has just been started answers LOADING while it reads its file.
        let about = loop {
            match link.call(redis::cmd("INFO").arg("everything")) {
                Ok(Value::BulkString(about)) => break about,
                Ok(_) => break Vec::new(),
                Err(error)
                    if error.code() == Some("LOADING") && Instant::now() < until =>
                {
                    link.pause();
                }
                Err(error) => return Err(link.explain(&error)),
            }
        };
        let about = String::from_utf8_lossy(&about);
        let value = |name: &str| {
            let found = about.lines().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_default().trim().to_owned()
        };
        let version = value("redis_version:");
        let at = self.at.to_string();
        if version.is_empty() {
            let why = "it does not say that it is Redis or Valkey".into();
            return Err(BrokerError::Refused { at, why });
        }
        let major = version.split('.').next().unwrap_or_default().parse();
        if major.is_ok_and(|major: u32| major < 7) {
            return Err(BrokerError::TooOld { version });
        }
        if may_forget {
            return Ok(link);
        }
        if value("aof_enabled:") != "1" {
            return Err(BrokerError::Forgets { at });
        }
        let policy = value("maxmemory_policy:");
        if policy != "noeviction" {
            return Err(BrokerError::Evicts { at, policy });
        }
        Ok(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_name_stands_for_the_default_queue() {
        let key = |name| {
            let address = QueueAddress::new("redis://127.0.0.1/0", name);
            address.unwrap().key("tasks")
        };
        assert_eq!(key("orders"), "mp:{orders}:tasks");
        assert_eq!(key(""), key(DEFAULT_QUEUE));
    }
}
