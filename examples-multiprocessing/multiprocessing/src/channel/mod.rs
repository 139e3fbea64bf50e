//! The ring in shared memory that messages travel in, from many senders to many receivers.
//!
//! A message is bytes of any length, zero included. Positions in the stream of messages
//! only ever grow; [`memory`] says which memory a position lies in. A sender takes the
//! producer lock, copies its message after the tail and then advances the tail. That is one
//! instruction; until it happens no receiver can see any of the message. A receiver takes
//! the consumer lock, copies the message at the head out and then advances the head. So
//! whenever one of them is killed, a message is there, whole and once, or it is not there;
//! only the message that the victim had just taken is lost with it. The next process finds
//! the lock's holder dead within a [`SLICE`], and has nothing to
//! repair.
//!
//! The numbers of messages are in the same words as the positions, so they are as exact.
//!
//! A process that finds nothing to do spins for a while and then sleeps on an
//! [`EventCount`]; one that has advanced a cursor looks whether the other side sleeps. Three
//! words are shared for that, and each operation touches them in one order:
//!
//! | | the process that sleeps | the process that wakes it |
//! | --- | --- | --- |
//! | first | sets the flag of the eventcount | writes, or reads, the message |
//! | then | reads the cursor, by a read-modify-write | advances the cursor, by a swap |
//! | last | sleeps, if the cursor has not moved and the flag is still set | reads the flag, and wakes one if it is set |
//!
//! Both accesses to the cursor are read-modify-writes with acquire and release, and those
//! of one word have one order. So either the sleeper reads what was published, or the other
//! process reads the flag that was set. That takes the place of a sequentially consistent
//! fence, which costs several times as much for each message.
//!
//! What a death leaves: before the cursor is advanced, nothing but the lock; between that
//! and the wake-up, a message that a sleeper finds at the end of its slice, or as soon as
//! another message is sent.
//!
//! What lies in the shared memory is checked as it is read: bytes that no process of this
//! library can have written give [`RecvError::Broken`] and nothing worse.
//!
//! One lock per side over a ring of variable-length messages is the queue with two locks of
//! [Michael and Scott](https://www.cs.rochester.edu/~scott/papers/1996_PODC_queues.pdf),
//! with a ring in the place of the linked list.

mod latest;
mod memory;

use std::fmt;

use crate::error::Error;
use crate::registry::{self, RegistryId};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::futex::{Deadline, SLICE, Slept};
use crate::sys::segment::{Shared, shareable};
use crate::sys::words;
use crate::wait::{EventCount, RawGuard, RawLock, Spin, SpinLimits};

use latest::Latest;
use memory::{MOST_UNITS, Map, TABLE, UNIT_WORDS};

const WORD: usize = size_of::<u64>();

/// A message's buffer is this much longer than the message. Without it the allocator
/// tends to place the value that is decoded from a large message right after the buffer,
/// so that the bytes of the two differ by a few modulo a page. The C library's copy by
/// `rep movsb` then takes
/// [twenty times as long](https://lunnova.dev/articles/ryzen-slow-short-rep-mov/) on some
/// processors.
pub(crate) const HALF_PAGE: usize = 2048;

shareable! {
    /// What producers and consumers share. What one side alone writes has cache lines
    /// of its own.
    pub(crate) struct Ring {
        producers: Producers,
        map: Map,
        /// Where the next message will be, and how many there were before it. Written
        /// under the producer lock.
        tail: Tail,
        consumers: Consumers,
        /// Where the next message to take is, and how many were taken before it.
        /// Written under the consumer lock.
        head: Head,
        /// Notified after each message that was sent.
        not_empty: EventCount,
        /// Notified after each message that was taken, if their number has a limit.
        not_full: EventCount,
    }
}

shareable! {
    #[repr(align(128))]
    struct Producers {
        lock: RawLock,
        /// The largest number of messages that may wait; 0 for any number. Never
        /// changes.
        limit: AtomicU32,
        /// The head as a producer saw it last, so that most sends need not load the
        /// cache line that the consumers write.
        head_seen: AtomicU64,
        /// The tail, or [`UNKNOWN`] while a producer advances it, which may be killed
        /// meanwhile. Consumers that spin take the cache line of the tail itself away:
        /// to load it first and to change it then would fetch that line twice.
        tail: AtomicU64,
    }
}

/// The tail itself has to be loaded. If that is a tail that there really is, to load it
/// does no harm.
const UNKNOWN: u64 = u64::MAX;

shareable! {
    #[repr(align(128))]
    struct Consumers {
        lock: RawLock,
        /// The tail as a consumer saw it last, for the same reason.
        tail_seen: AtomicU64,
    }
}

shareable! {
    #[repr(align(128))]
    struct Head {
        /// A [`Cursor`].
        cursor: AtomicU64,
    }
}

shareable! {
    #[repr(align(128))]
    struct Tail {
        /// A [`Cursor`].
        cursor: AtomicU64,
        latest: Latest,
    }
}

/// A position in the stream and the number of messages before it, both of which wrap. In
/// one word, so that they change at once.
#[derive(Clone, Copy)]
struct Cursor {
    position: u32,
    count: u32,
}

impl Cursor {
    fn from_word(word: u64) -> Self {
        Self {
            position: (word >> 32) as u32,
            count: word as u32,
        }
    }

    fn to_word(self) -> u64 {
        u64::from(self.position) << 32 | u64::from(self.count)
    }

    #[inline]
    fn load(word: &AtomicU64, ordering: Ordering) -> Self {
        Self::from_word(word.load(ordering))
    }

    #[inline]
    fn store(self, word: &AtomicU64, ordering: Ordering) {
        word.store(self.to_word(), ordering);
    }

    /// Stores it for the other side, some of which may be about to sleep.
    ///
    /// Release: a process that sees the cursor sees what was written, or has left what was
    /// read, before it. Acquire: see [`probe_last`](Self::probe_last). A fence would do the
    /// same, but takes several times as long.
    #[inline]
    fn publish(self, word: &AtomicU64) {
        word.swap(self.to_word(), Ordering::AcqRel);
    }

    /// The cursor for a process that goes to sleep unless the other side has advanced it,
    /// and that has set the flag of its eventcount before.
    ///
    /// All changes of a word have one order. If this one, which changes nothing, comes
    /// after a [`publish`](Self::publish), it finds what was published. If it comes before,
    /// the publisher has acquired it, and with it the flag: it finds the sleeper.
    fn probe_last(word: &AtomicU64) -> Self {
        Self::from_word(word.fetch_add(0, Ordering::AcqRel))
    }

    fn after_message(self, units: u32) -> Self {
        Self {
            position: self.position.wrapping_add(units),
            count: self.count.wrapping_add(1),
        }
    }
}

/// The number of units of the stream that a message takes: its length, then its bytes.
fn units(length: usize) -> Option<u32> {
    let words = length.div_ceil(WORD).checked_add(1)?;
    u32::try_from(words.div_ceil(UNIT_WORDS)).ok()
}

/// Why a message was not sent.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The largest number of messages that may wait is reached.
    Full,
    /// There is no memory for the message.
    System(Error),
}

/// Why no message was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecvError {
    /// None came in time.
    Empty,
    /// None will come.
    Disconnected,
    /// This process has no memory for it. It is not taken.
    TooLarge,
    /// The shared memory holds what no process of this library writes.
    Broken,
}

/// One process's handle to a ring.
pub(crate) struct Channel {
    ring: Shared<Ring>,
    /// A copy of the ring's, which never changes but lies in a cache line that the
    /// producers write all the time.
    limit: u32,
    /// For producers that wait for room.
    room: Spin,
    /// For consumers that wait for a message.
    message: Spin,
}

impl Channel {
    /// An empty ring in which at most `limit` messages wait at a time; 0 for any
    /// number that there is memory for.
    pub(crate) fn new(limit: u32) -> Result<Self, Error> {
        registry::ensure_registry()?;
        let ring = Ring {
            producers: Producers {
                lock: RawLock::new(),
                limit: AtomicU32::new(limit),
                head_seen: AtomicU64::new(0),
                tail: AtomicU64::new(0),
            },
            map: Map::new(),
            tail: Tail {
                cursor: AtomicU64::new(0),
                latest: Latest::new(),
            },
            consumers: Consumers {
                lock: RawLock::new(),
                tail_seen: AtomicU64::new(0),
            },
            head: Head {
                cursor: AtomicU64::new(0),
            },
            not_empty: EventCount::new(),
            not_full: EventCount::new(),
        };
        Ok(Self::over(Shared::sparse(ring, TABLE)?))
    }

    /// The ring of another process's channel.
    pub(crate) fn over(ring: Shared<Ring>) -> Self {
        let limit = ring.producers.limit.load(Ordering::Relaxed);
        Self {
            ring,
            limit,
            room: Spin::new(SpinLimits::AT_MEMORY),
            message: Spin::new(SpinLimits::AT_MEMORY),
        }
    }

    /// For handing it over to a spawned process.
    pub(crate) fn ring(&self) -> &Shared<Ring> {
        &self.ring
    }

    /// Sends a message, waiting for room.
    pub(crate) fn send(
        &self,
        message: &[u8],
        deadline: Deadline,
    ) -> Result<(), SendError> {
        let ring = &self.ring;
        let too_large = || SendError::System(too_much());
        let units = units(message.len()).ok_or_else(too_large)?;
        let mut slept = false;
        loop {
            let guard = lock(&ring.producers.lock, deadline);
            let guard = guard.ok_or(SendError::Full)?;
            let tail = tail(ring);
            let Some(room) = self.room(tail, slept) else {
                drop(guard);
                self.wait(Side::Producers, deadline, || true)
                    .map_err(|_| SendError::Full)?;
                slept = true;
                continue;
            };
            let head = || self.head().position;
            let used = tail.position.wrapping_sub(head_seen(ring).position);
            if used.saturating_add(units) > MOST_UNITS
                && (tail.position.wrapping_sub(head())).saturating_add(units)
                    > MOST_UNITS
            {
                return Err(too_large());
            }
            Map::make_room(ring, tail.position, units, head)
                .map_err(SendError::System)?;
            self.copy_in(tail.position, message)
                .map_err(SendError::System)?;
            let tail = tail.after_message(units);
            ring.tail.latest.write(message, tail);
            let known = &ring.producers.tail;
            known.store(UNKNOWN, Ordering::Relaxed);
            tail.publish(&ring.tail.cursor);
            tail.store(known, Ordering::Relaxed);
            drop(guard);
            ring.not_empty.notify_one_relaxed();
            if room > 1 {
                ring.not_full.notify_one_relaxed();
            }
            return Ok(());
        }
    }

    /// The number of further messages that may wait after `tail`; `None` if there is no
    /// room. `fresh` asks for the head as it is now, not as it was seen last.
    fn room(&self, tail: Cursor, fresh: bool) -> Option<u32> {
        if self.limit == 0 {
            return Some(1);
        }
        let room = |head: Cursor| {
            self.limit
                .checked_sub(tail.count.wrapping_sub(head.count))
                .filter(|n| *n > 0)
        };
        let seen = room(head_seen(&self.ring));
        if seen.is_some() && !fresh {
            return seen;
        }
        room(self.head())
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// The head as it is now. Needs the producer lock.
    fn head(&self) -> Cursor {
        // Acquire: the consumers have read everything before the head.
        let head = Cursor::load(&self.ring.head.cursor, Ordering::Acquire);
        head.store(&self.ring.producers.head_seen, Ordering::Relaxed);
        head
    }

    fn copy_in(&self, position: u32, message: &[u8]) -> Result<(), Error> {
        let mut position = position;
        let mut memory = Map::words(&self.ring, position)?;
        let Some((length, mut room)) = memory.split_first() else {
            return Ok(());
        };
        let mut rest = message;
        loop {
            let (now, later) = rest.split_at(rest.len().min(room.len() * WORD));
            words::write(room, now);
            if later.is_empty() {
                break;
            }
            rest = later;
            position = position.wrapping_add((memory.len() / UNIT_WORDS) as u32);
            memory = Map::words(&self.ring, position)?;
            if memory.is_empty() {
                break;
            }
            room = memory;
        }
        // Last, since the first access to a page should be the read in `words::write`.
        length.store(message.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Receives a message into `message`, waiting for one while `peers_alive` says that
    /// one may still come, which is asked at first and then a few times a second.
    /// `taking` is called with the message at the last moment before it is taken.
    pub(crate) fn recv(
        &self,
        message: &mut Vec<u8>,
        deadline: Deadline,
        peers_alive: impl Fn() -> bool,
        taking: impl Fn(&[u8]),
    ) -> Result<(), RecvError> {
        let ring = &self.ring;
        let mut slept = false;
        loop {
            let guard = lock(&ring.consumers.lock, deadline);
            let guard = guard.ok_or(RecvError::Empty)?;
            let head = Cursor::load(&ring.head.cursor, Ordering::Relaxed);
            let mut tail =
                Cursor::load(&ring.consumers.tail_seen, Ordering::Relaxed);
            if head.position == tail.position || slept {
                // Acquire: the messages before it are there.
                tail = Cursor::load(&ring.tail.cursor, Ordering::Acquire);
                tail.store(&ring.consumers.tail_seen, Ordering::Relaxed);
            }
            if head.position == tail.position {
                drop(guard);
                self.wait(Side::Consumers, deadline, &peers_alive)?;
                slept = true;
                continue;
            }
            let units = self.copy_out(head, tail, message)?;
            taking(message);
            let head = head.after_message(units);
            head.publish(&ring.head.cursor);
            drop(guard);
            if self.limit != 0 {
                ring.not_full.notify_one_relaxed();
            }
            if head.position != tail.position {
                ring.not_empty.notify_one_relaxed();
            }
            return Ok(());
        }
    }

    /// Receives the messages that wait now, and calls `each` with one after the other. They
    /// are all taken at once, in the end.
    pub(crate) fn recv_all(
        &self,
        message: &mut Vec<u8>,
        mut each: impl FnMut(&mut Vec<u8>),
    ) -> Result<(), RecvError> {
        let ring = &self.ring;
        let _guard = ring.consumers.lock.lock();
        let mut head = Cursor::load(&ring.head.cursor, Ordering::Relaxed);
        // Acquire: the messages before it are there.
        let tail = Cursor::load(&ring.tail.cursor, Ordering::Acquire);
        tail.store(&ring.consumers.tail_seen, Ordering::Relaxed);
        let mut received = Ok(());
        while head.position != tail.position && received.is_ok() {
            received = self.copy_out(head, tail, message).map(|units| {
                each(message);
                head = head.after_message(units);
            });
        }
        head.publish(&ring.head.cursor);
        if self.limit != 0 {
            ring.not_full.notify_one_relaxed();
        }
        received
    }

    /// The units of the message before `tail`, if there is a copy of it.
    #[inline]
    fn copy_latest(&self, tail: Cursor, message: &mut Vec<u8>) -> Option<u32> {
        let latest = &self.ring.tail.latest;
        let length = latest.length(tail)?;
        message.clear();
        message.try_reserve(length + HALF_PAGE).ok()?;
        latest.read(length, tail, message).then_some(())?;
        units(length)
    }

    fn copy_out(
        &self,
        head: Cursor,
        tail: Cursor,
        message: &mut Vec<u8>,
    ) -> Result<u32, RecvError> {
        if tail.count.wrapping_sub(head.count) == 1
            && let Some(units) = self.copy_latest(tail, message)
            && units == tail.position.wrapping_sub(head.position)
        {
            return Ok(units);
        }
        let (head, tail) = (head.position, tail.position);
        let memory_at = |position| {
            Map::words(&self.ring, position).map_err(|_| RecvError::TooLarge)
        };
        let mut memory = memory_at(head)?;
        let (length, mut here) = memory.split_first().ok_or(RecvError::Broken)?;
        let length = usize::try_from(length.load(Ordering::Relaxed)).ok();
        let units = length.and_then(|length| Some((length, units(length)?)));
        let (length, units) = units.ok_or(RecvError::Broken)?;
        let there = tail.wrapping_sub(head);
        if units > there || there > MOST_UNITS {
            return Err(RecvError::Broken);
        }
        message.clear();
        if message.try_reserve(length + HALF_PAGE).is_err() {
            return Err(RecvError::TooLarge);
        }
        let mut position = head;
        loop {
            let missing = length - message.len();
            words::read(here, missing.min(here.len() * WORD), message);
            if message.len() == length {
                return Ok(units);
            }
            position = position.wrapping_add((memory.len() / UNIT_WORDS) as u32);
            memory = memory_at(position)?;
            if memory.is_empty() {
                return Err(RecvError::Broken);
            }
            here = memory;
        }
    }

    /// Waits until the other side has advanced its cursor. The wake-up that it must not
    /// lose is that of [`Cursor::publish`], which finds the flag of the [`EventCount`] set
    /// or is found by [`Cursor::probe_last`].
    fn wait(
        &self,
        side: Side,
        deadline: Deadline,
        peers_alive: impl Fn() -> bool,
    ) -> Result<(), RecvError> {
        let ring = &self.ring;
        let (spin, event) = match side {
            Side::Producers => (&self.room, &ring.not_full),
            Side::Consumers => (&self.message, &ring.not_empty),
        };
        let may_go_on = |head: Cursor, tail: Cursor| match side {
            Side::Producers => tail.count.wrapping_sub(head.count) < self.limit,
            Side::Consumers => tail.position != head.position,
        };
        let load = |word| Cursor::load(word, Ordering::Relaxed);
        let (head, tail) = (&ring.head.cursor, &ring.tail.cursor);
        let probe = || may_go_on(load(head), load(tail));
        let probe_last = || match side {
            Side::Producers => may_go_on(Cursor::probe_last(head), load(tail)),
            Side::Consumers => may_go_on(load(head), Cursor::probe_last(tail)),
        };
        let check_peers = || {
            // A last probe: a message may have been sent before the last sender ended.
            if peers_alive() || probe() {
                Ok(())
            } else {
                Err(RecvError::Disconnected)
            }
        };
        check_peers()?;
        if deadline.is_over() {
            return if probe() {
                Ok(())
            } else {
                Err(RecvError::Empty)
            };
        }
        if (spin.until_deadline(deadline, || probe().then_some(()))).is_some() {
            return Ok(());
        }
        spin.sleep(|| {
            loop {
                let slept = event.sleep_unless(probe_last, deadline);
                // The flag is set again, for others that sleep on: a process that publishes
                // from here on finds it, and what was published before is found here.
                if probe_last() {
                    return Ok(());
                }
                match slept {
                    Slept::Woken | Slept::Slice => check_peers()?,
                    Slept::Deadline => return Err(RecvError::Empty),
                }
            }
        })
    }

    /// The number of messages that wait.
    pub(crate) fn len(&self) -> usize {
        let mut head = Cursor::load(&self.ring.head.cursor, Ordering::Acquire);
        loop {
            let tail = Cursor::load(&self.ring.tail.cursor, Ordering::Acquire);
            let then = Cursor::load(&self.ring.head.cursor, Ordering::Acquire);
            // The head did not move between its two loads, so head and tail belong to
            // the same instant.
            if head.count == then.count {
                return tail.count.wrapping_sub(head.count) as usize;
            }
            head = then;
        }
    }

    /// The memory that the messages that wait take up. Like [`is_empty`](Self::is_empty),
    /// it may be a moment old.
    pub(crate) fn bytes(&self) -> usize {
        let head = Cursor::load(&self.ring.head.cursor, Ordering::Acquire);
        let tail = Cursor::load(&self.ring.tail.cursor, Ordering::Acquire);
        tail.position.wrapping_sub(head.position) as usize * UNIT_WORDS * WORD
    }

    /// Whether no message waits. Cheaper than [`len`](Self::len), as it may be a moment
    /// old.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Acquire, both: a caller that sees a message sent or taken sees what was
        // written before that.
        let head = Cursor::load(&self.ring.head.cursor, Ordering::Acquire);
        let tail = Cursor::load(&self.ring.tail.cursor, Ordering::Acquire);
        tail.position == head.position
    }

    /// The number of messages taken so far, which wraps.
    pub(crate) fn taken(&self) -> u32 {
        Cursor::load(&self.ring.head.cursor, Ordering::Acquire).count
    }

    /// Releases any lock held by `dead`, and wakes the processes that it may have been
    /// about to wake. Call it once that process is known to have died, so that waiters
    /// need not sleep a slice to discover it.
    pub(crate) fn reclaim(&self, dead: RegistryId) {
        self.ring.producers.lock.reclaim(dead);
        self.ring.consumers.lock.reclaim(dead);
        self.ring.not_empty.notify_one();
        self.ring.not_full.notify_one();
    }

    /// The number of messages sent so far, which wraps.
    pub(crate) fn sent(&self) -> u32 {
        Cursor::load(&self.ring.tail.cursor, Ordering::Acquire).count
    }

    /// Has every process that waits for a message ask again whether its peers are alive.
    pub(crate) fn wake_receivers(&self) {
        self.ring.not_empty.notify_unconditionally(u32::MAX);
    }
}

#[derive(Clone, Copy)]
enum Side {
    Producers,
    Consumers,
}

/// Takes the lock of one side. Gives up at the deadline, but not before the present holder
/// had some time to finish its copy, since otherwise a call that does not wait would fail
/// whenever another is at work. A half-written message is invisible, so that it does not
/// matter whether a holder died.
#[inline]
fn lock(lock: &RawLock, deadline: Deadline) -> Option<RawGuard<'_>> {
    let acquired = lock.acquire(deadline.or_later(SLICE / 2))?;
    Some(RawGuard::new(lock, acquired))
}

fn too_much() -> Error {
    Error::System {
        doing: "keep more than 16 GiB of waiting messages",
        source: std::io::ErrorKind::OutOfMemory.into(),
    }
}

/// Needs the producer lock.
fn tail(ring: &Ring) -> Cursor {
    match ring.producers.tail.load(Ordering::Relaxed) {
        UNKNOWN => Cursor::load(&ring.tail.cursor, Ordering::Relaxed),
        known => Cursor::from_word(known),
    }
}

fn head_seen(ring: &Ring) -> Cursor {
    Cursor::load(&ring.producers.head_seen, Ordering::Relaxed)
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("len", &self.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
