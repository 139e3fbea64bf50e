//! Objects in a server process that other processes, of this machine or another, use by
//! proxy: Python's
//! [`multiprocessing.managers`](https://docs.python.org/3/library/multiprocessing.html#managers),
//! on Python's own wire. Either side may be a program in Python 3.8 or later.
//!
//! | Python | here |
//! | --- | --- |
//! | `BaseManager`, `register`, `start`, `connect`, `get_server`, `shutdown` | [`BaseManager`], [`Server`] |
//! | `Manager()`, `SyncManager` | [`manager()`], [`SyncManager`] |
//! | `manager.Queue()`, `.list()`, `.dict()`, … | [`SyncManager::queue`], [`list`](SyncManager::list), [`dict`](SyncManager::dict), … |
//! | the proxies | [`Proxy`], [`QueueProxy`], [`ListProxy`], [`DictProxy`], … |
//! | what is sent | [`Value`] |
//!
//! ```
//! use multiprocessing::managers::{SyncManager, Value};
//! use std::thread;
//!
//! // A program without threads says `manager()?`, which starts a process for it.
//! let server = SyncManager::new(("127.0.0.1", 0), b"abc").get_server()?;
//! let address = server.address().clone();
//! thread::spawn(move || server.serve_forever());
//!
//! let mut manager = SyncManager::new(&address, b"abc");
//! manager.connect()?;
//! let d = manager.dict([("one", 1)])?;
//! d.set("two", 2)?;
//! assert_eq!(d.get::<Option<i64>>("two")?, Some(2));
//! assert_eq!(format!("{:?}", d.value()?), r#"{"one": 1, "two": 2}"#);
//! manager.shutdown()?;
//! # Ok::<(), multiprocessing::Error>(())
//! ```
//!
//! # Layout
//!
//! `pickle` is the format of values, `wire` what carries them: streams, frames, the
//! challenge. `server` serves [`Managed`] objects; `types` are the ready-made ones.
//! `client` is the other side, and `proxies` are its ready-made types. `manager` starts
//! or finds a server.
//!
//! # Limitations
//!
//! What crosses is plain data and proxies: numbers (`Decimal`, `Fraction` and `complex`
//! too), texts, bytes, tuples, lists, dicts, sets, the containers of `collections`,
//! `array`, `range`, `slice`, `uuid.UUID`, the types of `datetime`, exceptions of
//! Python's own. They are compared, ordered, hashed and shown as in Python. Refused, with
//! the name of what is refused, are
//!
//! * instances of a user's classes, functions, and all classes but those of plain data;
//!   so there is no managed `Pool`, a barrier has no action, `sort` has no key function
//!   and a `defaultdict` only a class of plain data for a factory;
//! * time zones other than `datetime.timezone`, and texts with surrogates, which are not
//!   UTF-8;
//! * a value that contains itself, and one nested more than 256 deep;
//! * an array of typecode `u` with a number that is not that of a character.
//!
//! Where Python's server differs: it leaves a list half sorted if its items do not
//! compare, and this one leaves it as it was. There is no `SharedMemoryManager`. A name
//! of a host stands for its IPv4 addresses, as in Python.
//!
//! Sizes are limited, unlike Python's. A message has at most 64 MiB, and takes at most
//! 256 MiB of memory once it is read. What occurs several times in it stays
//! [one](Shared), as in Python, but each occurrence counts. The server makes no list of
//! more than that, and of at most 4 Mi items from a text, bytes or a range. What is
//! longer is refused before it is sent ([`PickleError::TooLong`]); Python's clients send
//! it all the same, and lose their connection. A server has at most 4096 connections of
//! clients, each one thread of theirs; further ones are refused in a sentence.
//!
//! A request locks its object for as long as it computes. It may compare some twenty
//! million small values, and take two seconds of a processor's time; one that computes
//! more ends with a `TimeoutError`, and one whose client has gone ends soon after.
//!
//! The objects of a client that is killed stay until the server ends, as in Python: it
//! is not known how many proxies it had. Containers that contain each other stay for ever.
//!
//! # Security
//!
//! Both sides prove that they know the key, but Python's protocol does not bind these
//! proofs to the connection, and what follows them is neither encrypted nor signed. A
//! server that does not know the key can pass a client's challenges on to one that does,
//! and the answers back: then it sits in between, reads everything and changes what it
//! likes. So can a program that reads or redirects the network. On one machine use a
//! UNIX socket ([`Address::Unix`], which only its owner can open); between machines use a
//! tunnel that authenticates both ends, such as one of SSH, and listen at its end only.

mod address;
mod client;
mod convert;
mod error;
mod managed;
mod manager;
mod pickle;
mod proxies;
mod server;
mod types;
mod wire;

use serde::{Deserialize, Serialize};

pub use address::{Address, NotAnAddress};
pub use client::Proxy;
pub use convert::{Arguments, FromArgs, FromValue, IntoArgs, WrongType};
pub use error::ManagerError;
pub use managed::{Caller, Managed, Methods, Reply, WaitError};
pub use manager::{BaseManager, SyncManager, manager};
pub use pickle::{
    BigInt, Exception, Object, PickleError, ProxyRef, Shared, Token, Value,
};
pub use proxies::{
    ArrayProxy, BarrierProxy, ConditionProxy, DictProxy, EventProxy, HeldLock,
    ListProxy, LockProxy, NamespaceProxy, QueueProxy, SemaphoreProxy, ValueProxy,
};
pub use server::Server;

/// The digests with which the two sides may prove that they know the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Digests {
    /// All that Python uses: SHA-256 and its relatives, and MD5, which Python up to 3.11
    /// needs.
    #[default]
    All,
    /// All but MD5: for Rust, and Python from 3.12 on.
    Modern,
}
