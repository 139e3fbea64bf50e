//! One connection to the broker, which is made again after it breaks.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, Connection, ConnectionAddr, ErrorKind, IntoConnectionInfo, Value,
};

use super::BrokerError;
use super::scripts::Scripts;

/// The address of a queue at a broker, with the prefix of its keys. Cheap to clone.
#[derive(Clone)]
pub(super) struct Place {
    client: Client,
    /// Host and port, without the password that the address may have.
    pub(super) at: Arc<str>,
    /// The prefix of all keys of the queue.
    prefix: Arc<str>,
    pub(super) scripts: Arc<Scripts>,
}

/// The limit for connecting, and for the answer to a command that does not block. It
/// must be longer than a long script at the server, or a slow disk, takes.
const PATIENCE: Duration = Duration::from_secs(3);

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

impl Place {
    pub(super) fn new(url: &str, queue: &str) -> Result<Self, BrokerError> {
        let refused = |error: redis::RedisError| BrokerError::Address {
            // The whole error might contain the password.
            why: error.detail().unwrap_or("it cannot be read").to_owned(),
        };
        let info = url.into_connection_info().map_err(refused)?;
        // Each command is written in one piece, so that a delay would gain nothing.
        let no_delay = TcpSettings::default().set_nodelay(true);
        let client =
            Client::open(info.set_tcp_settings(no_delay)).map_err(refused)?;
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
        Link {
            place: self.clone(),
            connection: None,
            id: None,
            failures: 0,
        }
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

/// A connection for one thread.
pub(super) struct Link {
    pub(super) place: Place,
    /// None before the first call, and after a call that failed: the next answer on the
    /// old connection might belong to an earlier command.
    connection: Option<Connection>,
    /// The broker's id of the connection, once it was asked for.
    id: Option<u64>,
    /// The number of failures since the last success.
    failures: usize,
}

impl Link {
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
        let scripts = Arc::clone(&self.place.scripts);
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
            let made = self.place.client.get_connection_with_timeout(PATIENCE);
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

    /// What is said of an error of the last call.
    pub(super) fn explain(&mut self, error: &redis::RedisError) -> BrokerError {
        let at = self.place.at.to_string();
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
            let key = self.place.key(name);
            let found = self.call(redis::cmd("TYPE").arg(&key)).ok()?;
            let found = string(found);
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

/// The elements of a list as texts.
pub(super) fn texts(value: Value) -> Vec<Vec<u8>> {
    let Value::Array(values) = value else {
        return Vec::new();
    };
    values.into_iter().map(text).collect()
}

/// A text or a number as a text; empty for any other value.
pub(super) fn text(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(text) => text,
        Value::SimpleString(text) => text.into_bytes(),
        Value::Int(number) => number.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

pub(super) fn string(value: Value) -> String {
    String::from_utf8_lossy(&text(value)).into_owned()
}

/// The two elements of a list.
pub(super) fn two(value: Value) -> (Value, Value) {
    match value {
        Value::Array(values) => match <[Value; 2]>::try_from(values) {
            Ok([first, second]) => (first, second),
            Err(_) => (Value::Nil, Value::Nil),
        },
        _ => (Value::Nil, Value::Nil),
    }
}

/// The elements of a list as numbers.
pub(super) fn numbers(value: Value) -> Vec<i64> {
    let Value::Array(values) = value else {
        return Vec::new();
    };
    let number = |value| match value {
        Value::Int(number) => number,
        _ => 0,
    };
    values.into_iter().map(number).collect()
}

/// The entries of a stream, each with its fields and values. An entry that was deleted
/// has no fields.
pub(super) fn entries(value: Value) -> Vec<(String, Vec<Vec<u8>>)> {
    let Value::Array(entries) = value else {
        return Vec::new();
    };
    let entry = |entry| {
        let Value::Array(parts) = entry else {
            return None;
        };
        let mut parts = parts.into_iter();
        let id = string(parts.next()?);
        Some((id, texts(parts.next().unwrap_or(Value::Nil))))
    };
    entries.into_iter().filter_map(entry).collect()
}

/// The entries of the first stream in an answer of XREAD or XREADGROUP.
pub(super) fn entries_read(value: Value) -> Vec<(String, Vec<Vec<u8>>)> {
    let Value::Array(mut streams) = value else {
        return Vec::new();
    };
    match streams.pop() {
        Some(Value::Array(mut stream)) if stream.len() == 2 => {
            entries(stream.pop().unwrap_or(Value::Nil))
        }
        _ => Vec::new(),
    }
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
