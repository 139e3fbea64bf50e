//! One connection to the broker, which is made again after it breaks.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use redis::{Cmd, Connection, ErrorKind, Value};

use super::BrokerError;
use super::address::QueueAddress;
use super::answer;
use super::scripts::Scripts;

/// The limit for connecting, and for the answer to a command that does not block. It
/// must be longer than a long script at the server, or a slow disk, takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// The pauses between attempts to connect, in milliseconds. They are short enough that
/// senders and workers go on within a second after the broker is back.
const PAUSES: [u64; 5] = [10, 20, 50, 100, 200];

/// The keys that a queue has once, and their types at the broker.
const KEYS: [(&str, &str); 5] = [
    ("tasks", "stream"),
    ("dead", "stream"),
    ("agents", "hash"),
    ("counts", "hash"),
    ("lease", "string"),
];

/// A connection for one thread.
pub(super) struct Link {
    pub(super) address: QueueAddress,
    /// None before the first call, and after a call that failed: the next answer on the
    /// old connection might belong to an earlier command.
    connection: Option<Connection>,
    /// The broker's id of the connection, once it was asked for.
    id: Option<u64>,
    /// The number of failures since the last success.
    failures: usize,
}

impl Link {
    pub(super) fn new(address: QueueAddress) -> Self {
        Self {
            address,
            connection: None,
            id: None,
            failures: 0,
        }
    }

    /// Sends a command and waits for the answer. After an error, the broker may or may
    /// not have run the command.
    pub(super) fn call(&mut self, cmd: &Cmd) -> redis::RedisResult<Value> {
        self.call_blocking(cmd, Duration::ZERO)
    }

    /// [`call`](Self::call) of a command that the broker answers after up to `wait`.
    pub(super) fn call_blocking(
        &mut self,
        cmd: &Cmd,
        wait: Duration,
    ) -> redis::RedisResult<Value> {
        self.ask(|connection| {
            connection.set_read_timeout(Some(PATIENCE + wait))?;
            cmd.query(connection)
        })
    }

    /// Runs a script.
    pub(super) fn run(
        &mut self,
        script: impl Fn(&Scripts) -> &redis::Script,
        keys: &[String],
        args: &[impl AsRef<[u8]>],
    ) -> redis::RedisResult<Value> {
        let scripts = Arc::clone(&self.address.scripts);
        let mut call = script(&scripts).prepare_invoke();
        for key in keys {
            call.key(key);
        }
        for arg in args {
            call.arg(arg.as_ref());
        }
        self.ask(|connection| {
            connection.set_read_timeout(Some(PATIENCE))?;
            call.invoke(connection)
        })
    }

    fn ask(
        &mut self,
        ask: impl FnOnce(&mut Connection) -> redis::RedisResult<Value>,
    ) -> redis::RedisResult<Value> {
        let mut connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let made = self.address.client.get_connection_with_timeout(PATIENCE);
            let made = made.and_then(|made| {
                made.set_write_timeout(Some(PATIENCE))?;
                Ok(made)
            });
            self.id = None;
            made.inspect_err(|_| self.failures += 1)?
        };
        let answer = ask(&mut connection);
        match &answer {
            Ok(_) => {
                self.failures = 0;
                self.connection = Some(connection);
            }
            Err(error) => {
                self.failures += 1;
                // The broker itself answered with this error, so the connection works.
                if error.code().is_some() {
                    self.connection = Some(connection);
                }
            }
        }
        answer
    }

    /// Repeats a command until the broker answers it or refuses it for good. Returns
    /// `None` if it got no answer before `ended`.
    pub(super) fn retry(
        &mut self,
        ended: impl Fn() -> bool,
        mut ask: impl FnMut(&mut Self) -> redis::RedisResult<Value>,
    ) -> Option<redis::RedisResult<Value>> {
        loop {
            match ask(self) {
                Err(error) if !is_lasting(&error) && !is_no_group(&error) => {
                    if ended() {
                        return None;
                    }
                    self.pause();
                }
                answered => return Some(answered),
            }
        }
    }

    /// What is said of an error of the last call.
    pub(super) fn explain(&mut self, error: &redis::RedisError) -> BrokerError {
        let at = self.address.at.to_string();
        let why = error.to_string();
        match error.kind() {
            ErrorKind::Io if is_out_of_descriptors(error) => {
                BrokerError::OutOfDescriptors { at }
            }
            ErrorKind::Io => BrokerError::Unreachable { at, why },
            _ if error.code() == Some("WRONGTYPE")
                && let Some(key) = self.foreign_key() =>
            {
                BrokerError::ForeignKey { at, key }
            }
            _ => BrokerError::Refused { at, why },
        }
    }

    /// The key of the queue that has another type than the scripts give it.
    fn foreign_key(&mut self) -> Option<String> {
        KEYS.iter().find_map(|(name, its_type)| {
            let key = self.address.key(name);
            let found = self.call(redis::cmd("TYPE").arg(&key)).ok()?;
            let found = answer::string(found);
            (found != *its_type && found != "none").then_some(key)
        })
    }

    /// The broker's id of the connection, which is made if there is none.
    pub(super) fn id(&mut self) -> redis::RedisResult<u64> {
        if let (Some(_), Some(id)) = (&self.connection, self.id) {
            return Ok(id);
        }
        let id = match self.call(redis::cmd("CLIENT").arg("ID"))? {
            Value::Int(id) => id.cast_unsigned(),
            _ => 0,
        };
        self.id = Some(id);
        Ok(id)
    }

    /// Sleeps before the next attempt, longer after each failure.
    pub(super) fn pause(&self) {
        let step = self.failures.clamp(1, PAUSES.len()) - 1;
        thread::sleep(Duration::from_millis(PAUSES[step]));
    }
}

/// Whether this process, or the whole machine, may open no further file.
fn is_out_of_descriptors(error: &redis::RedisError) -> bool {
    // The crate keeps the system's error in an `Arc`, and gives that as the source.
    let source = error.source().and_then(|source| source.downcast_ref());
    let number = source.and_then(|source: &Arc<dyn Error + Send + Sync>| {
        source.downcast_ref::<io::Error>()?.raw_os_error()
    });
    number.is_some_and(|number| [libc::EMFILE, libc::ENFILE].contains(&number))
}

/// Whether the group of the workers is gone, with the stream or without it.
pub(super) fn is_no_group(error: &redis::RedisError) -> bool {
    error.code() == Some("NOGROUP") || error.to_string().contains("NOGROUP")
}

/// Whether a repeated command would get the same error. It would not if the broker is
/// only short of memory or of disk, is loading, or is a replica for now.
pub(super) fn is_lasting(error: &redis::RedisError) -> bool {
    const LASTING: [&str; 3] = ["ERR", "WRONGTYPE", "NOPERM"];
    // The code of a command that failed inside a script may be in the text only.
    const PASSING: [&str; 4] = ["OOM", "MISCONF", "READONLY", "NOREPLICAS"];
    let said = error.to_string();
    error.code().is_some_and(|code| LASTING.contains(&code))
        && !PASSING.iter().any(|code| said.contains(code))
}
