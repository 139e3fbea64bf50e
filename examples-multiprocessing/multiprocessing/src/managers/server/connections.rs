//! Which connections a server has, and how many it allows.

use std::collections::{BTreeMap, HashMap};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::managers::wire::Stream;
use crate::poison::lock_unpoisoned;

/// How much a server gives to connections. The defaults are those of [`super::Server`]'s
/// page; tests use smaller ones.
#[derive(Debug, Clone, Copy)]
pub(in crate::managers) struct Limits {
    /// How long a new connection may take to prove that it knows the key and then to
    /// send its first request. Python's client waits as long for a server.
    pub(in crate::managers) handshake: Duration,
    /// The number of connections that may be in the handshake at a time. One more takes
    /// the place of the oldest.
    pub(in crate::managers) unauthenticated: usize,
    /// The number of authenticated connections that are served at a time. A further one
    /// is refused in a sentence.
    pub(in crate::managers) clients: usize,
    /// How long a server that ends waits for the calls in progress.
    pub(in crate::managers) shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(20),
            unauthenticated: 64,
            clients: 4096,
            shutdown: Duration::from_secs(1),
        }
    }
}

/// All connections of a server.
#[derive(Default)]
pub(super) struct Connections {
    table: Mutex<Table>,
    /// A connection has ended or was authenticated.
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    /// The number of connections ever accepted; it makes the ids.
    accepted: u64,
    /// Those in the handshake, the oldest first.
    unauthenticated: BTreeMap<u64, Arc<Stream>>,
    /// The number of connections that were turned away and whose threads still run.
    turned_away: usize,
    clients: HashMap<u64, Arc<Stream>>,
}

impl Table {
    fn turn_oldest_away(&mut self) {
        if let Some((_, stream)) = self.unauthenticated.pop_first() {
            stream.shut_down(Shutdown::Both);
            self.turned_away += 1;
        }
    }
}

impl Connections {
    fn table(&self) -> MutexGuard<'_, Table> {
        lock_unpoisoned(&self.table)
    }

    /// Registers a new connection once fewer than `limit` are in the handshake. Returns
    /// its id. It must be ended by [`end`](Self::end).
    pub(super) fn admit(&self, stream: &Arc<Stream>, limit: usize) -> u64 {
        let mut table = self.table();
        while table.unauthenticated.len() + table.turned_away >= limit {
            if table.turned_away == 0 {
                table.turn_oldest_away();
            }
            // The wake-up of a thread that ends now is not lost: it needs the lock to
            // report its end, and `wait` is what gives the lock up.
            table = self
                .changed
                .wait(table)
                .unwrap_or_else(PoisonError::into_inner);
        }
        table.accepted += 1;
        let id = table.accepted;
        table.unauthenticated.insert(id, Arc::clone(stream));
        id
    }

    /// Closes the oldest connection that is in the handshake, for want of resources. Returns
    /// whether this or an earlier one is about to end.
    pub(super) fn turn_oldest_away(&self) -> bool {
        let mut table = self.table();
        table.turn_oldest_away();
        table.turned_away > 0
    }

    /// Makes an authenticated connection a client. Returns whether there is room.
    pub(super) fn promote(&self, id: u64, limit: usize) -> bool {
        let mut table = self.table();
        if table.clients.len() >= limit {
            return false;
        }
        let Some(stream) = table.unauthenticated.remove(&id) else {
            return false;
        };
        table.clients.insert(id, stream);
        self.changed.notify_all();
        true
    }

    pub(super) fn end(&self, id: u64) {
        let mut table = self.table();
        let was_known = table.unauthenticated.remove(&id).is_some()
            || table.clients.remove(&id).is_some();
        if !was_known {
            table.turned_away -= 1;
        }
        self.changed.notify_all();
    }

    /// Ends all connections. Calls in progress get their replies if they end within
    /// `patience`; calls that wait for something are given up.
    pub(super) fn shut_down(&self, patience: Duration) {
        let table = self.table();
        for stream in table.unauthenticated.values() {
            stream.shut_down(Shutdown::Both);
        }
        for stream in table.clients.values() {
            // No further request is read, but pending replies are still written.
            stream.shut_down(Shutdown::Read);
        }
        let any_left = |table: &mut Table| {
            !(table.unauthenticated.is_empty() && table.clients.is_empty())
        };
        // The wake-up of a thread that ends now is not lost: it needs the lock to
        // report its end. Threads that are late end with the process.
        drop(self.changed.wait_timeout_while(table, patience, any_left));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_shutdown_waits_for_those_that_are_served_and_no_longer() {
        const PATIENCE: Duration = Duration::from_mins(1);
        let connections = Connections::default();
        let (stream, _other_end) = UnixStream::pair().unwrap();
        let id = connections.admit(&Arc::new(Stream::Unix(stream)), 1);
        assert!(connections.promote(id, 1));
        let call = Duration::from_millis(50);
        let began = Instant::now();
        let waited = thread::scope(|s| {
            s.spawn(|| {
                thread::sleep(call);
                connections.end(id);
            });
            connections.shut_down(PATIENCE);
            began.elapsed()
        });
        assert!(waited >= call && waited < PATIENCE, "{waited:?}");
    }
}
