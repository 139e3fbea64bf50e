//! The ring in shared memory that messages travel in, many senders to many receivers.
//!
//! A message is bytes of any length, zero included. The stream of messages has places
//! that only ever grow; which memory a place lies in, the [`memory`] tells. Who sends
//! takes the producers' turn, copies its message behind the tail and then moves the
//! tail: one store, before which nobody sees any of it. Who receives takes the
//! consumers' turn, copies the message at the head out and then moves the head. So
//! whenever one of them is killed, a message is there or not, whole and once; only what
//! the victim had just taken goes with it. The next in turn finds the turn's owner dead
//! within a [`SLICE`](crate::sys::futex::SLICE), and nothing to repair.
//!
//! The numbers of messages are in the same words as the places, so they are as exact.
//!
//! What lies in the shared memory is checked as it is read: bytes that no process of
//! ours can have written give [`RecvError::Broken`] and nothing worse.

mod memory;

use std::fmt;

use crate::error::Error;
use crate::registry::{self, RegistryId};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::futex::{Deadline, SLICE, Slept};
use crate::sys::segment::{Shared, shareable};
use crate::wait::{EventCount, RawGuard, RawLock, Spin, SpinLimits};

use memory::{MOST_UNITS, Map, TAIL, UNIT_WORDS};

const WORD: usize = size_of::<u64>();

shareable! {
    /// What producers and consumers share. What one side alone writes has cache lines
    /// of its own.
    pub(crate) struct Ring {
        producers: Producers,
        map: Map,
        /// Where the next message will be, and how many there were before it. Written
        /// by the producer in turn.
        tail: Place,
        consumers: Consumers,
        /// Where the next message to take is, and how many were taken before it.
        /// Written by the consumer in turn.
        head: Place,
        /// Rung after each message that was sent.
        not_empty: EventCount,
        /// Rung after each message that was taken where their number has a limit.
        not_full: EventCount,
    }
}

shareable! {
    #[repr(align(128))]
    struct Producers {
        turn: RawLock,
        /// The most messages that wait at a time; 0 for any number. Never changes.
        limit: AtomicU32,
        /// The head as a producer saw it last: spares most looks at the other side.
        head_seen: AtomicU64,
    }
}

shareable! {
    #[repr(align(128))]
    struct Consumers {
        turn: RawLock,
        /// The tail as a consumer saw it last.
        tail_seen: AtomicU64,
    }
}

shareable! {
    #[repr(align(128))]
    struct Place {
        /// A [`Mark`].
        mark: AtomicU64,
    }
}

/// A place of the stream and the number of messages before it, both of which wrap. In
/// one word, so that they change at once.
#[derive(Clone, Copy)]
struct Mark {
    place: u32,
    count: u32,
}

impl Mark {
    fn load(word: &AtomicU64, ordering: Ordering) -> Self {
        let word = word.load(ordering);
        Self {
            place: (word >> 32) as u32,
            count: word as u32,
        }
    }

    fn store(self, word: &AtomicU64, ordering: Ordering) {
        word.store(
            u64::from(self.place) << 32 | u64::from(self.count),
            ordering,
        );
    }

    fn after_message(self, units: u32) -> Self {
        Self {
            place: self.place.wrapping_add(units),
            count: self.count.wrapping_add(1),
        }
    }
}

/// How many units of the stream a message takes: its length, then its bytes.
fn units(length: usize) -> Option<u32> {
    let words = length.div_ceil(WORD).checked_add(1)?;
    u32::try_from(words.div_ceil(UNIT_WORDS)).ok()
}

/// Why a message was not sent.
#[derive(Debug)]
pub(crate) enum SendError {
    /// As many messages wait as may.
    Full,
    /// There is no memory for it.
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
    /// The ring's, which never changes: it lies where the producers write all the time.
    limit: u32,
    room: Spin,
    message: Spin,
}

impl Channel {
    /// An empty ring in which at most `limit` messages wait at a time; 0 for as many
    /// as there is memory for.
    pub(crate) fn new(limit: u32) -> Result<Self, Error> {
        registry::ensure_registry()?;
        let place = || Place {
            mark: AtomicU64::new(0),
        };
        let ring = Ring {
            producers: Producers {
                turn: RawLock::new(),
                limit: AtomicU32::new(limit),
                head_seen: AtomicU64::new(0),
            },
            map: Map::new(),
            tail: place(),
            consumers: Consumers {
                turn: RawLock::new(),
                tail_seen: AtomicU64::new(0),
            },
            head: place(),
            not_empty: EventCount::new(),
            not_full: EventCount::new(),
        };
        Ok(Self::over(Shared::sparse(ring, TAIL)?))
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

    /// For handing it over.
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
            let turn = take_turn(&ring.producers.turn, deadline);
            let turn = turn.ok_or(SendError::Full)?;
            let tail = Mark::load(&ring.tail.mark, Ordering::Relaxed);
            let Some(room) = self.room(tail, slept) else {
                drop(turn);
                self.wait(Side::Producers, deadline, || true)
                    .map_err(|_| SendError::Full)?;
                slept = true;
                continue;
            };
            let head = || self.head().place;
            let used = tail.place.wrapping_sub(head_seen(ring).place);
            if used.saturating_add(units) > MOST_UNITS
                && (tail.place.wrapping_sub(head())).saturating_add(units)
                    > MOST_UNITS
            {
                return Err(too_large());
            }
            Map::make_room(ring, tail.place, units, head)
                .map_err(SendError::System)?;
            self.copy_in(tail.place, message);
            // Release: who sees the tail sees the message before it.
            tail.after_message(units)
                .store(&ring.tail.mark, Ordering::Release);
            drop(turn);
            ring.not_empty.notify_one();
            if room > 1 {
                ring.not_full.notify_one_relaxed();
            }
            return Ok(());
        }
    }

    /// How many messages more may wait behind `tail`; none for none.
    fn room(&self, tail: Mark, look_again: bool) -> Option<u32> {
        if self.limit == 0 {
            return Some(1);
        }
        let room = |head: Mark| {
            self.limit
                .checked_sub(tail.count.wrapping_sub(head.count))
                .filter(|n| *n > 0)
        };
        let seen = room(head_seen(&self.ring));
        if seen.is_some() && !look_again {
            return seen;
        }
        room(self.head())
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// The head as it is now. For the producer in turn.
    fn head(&self) -> Mark {
        // Acquire: what the consumers have left they have read.
        let head = Mark::load(&self.ring.head.mark, Ordering::Acquire);
        head.store(&self.ring.producers.head_seen, Ordering::Relaxed);
        head
    }

    fn copy_in(&self, place: u32, message: &[u8]) {
        let length = (message.len() as u64).to_ne_bytes();
        let (whole, rest) = message.as_chunks::<WORD>();
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        let last = (!rest.is_empty()).then_some(&last);
        let mut words = [&length].into_iter().chain(whole).chain(last);
        let mut place = place;
        loop {
            let memory = Map::words(&self.ring, place);
            for word in memory {
                let Some(bytes) = words.next() else {
                    return;
                };
                word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
            }
            if memory.is_empty() {
                return;
            }
            place = place.wrapping_add((memory.len() / UNIT_WORDS) as u32);
        }
    }

    /// Receives a message into `message`, waiting for one, but no longer than there is
    /// hope that one will come: asked at first, and then a few times a second.
    /// `taking` is called with it at the last moment before it is taken.
    pub(crate) fn recv(
        &self,
        message: &mut Vec<u8>,
        deadline: Deadline,
        hope: impl Fn() -> bool,
        taking: impl Fn(&[u8]),
    ) -> Result<(), RecvError> {
        let ring = &self.ring;
        let mut slept = false;
        loop {
            let turn = take_turn(&ring.consumers.turn, deadline);
            let turn = turn.ok_or(RecvError::Empty)?;
            let head = Mark::load(&ring.head.mark, Ordering::Relaxed);
            let mut tail = Mark::load(&ring.consumers.tail_seen, Ordering::Relaxed);
            if head.place == tail.place || slept {
                // Acquire: the messages before it are there.
                tail = Mark::load(&ring.tail.mark, Ordering::Acquire);
                tail.store(&ring.consumers.tail_seen, Ordering::Relaxed);
            }
            if head.place == tail.place {
                drop(turn);
                self.wait(Side::Consumers, deadline, &hope)?;
                slept = true;
                continue;
            }
            let units = self.copy_out(head.place, tail.place, message)?;
            taking(message);
            let head = head.after_message(units);
            // Release: whoever reuses its memory does so after this was read.
            head.store(&ring.head.mark, Ordering::Release);
            drop(turn);
            if self.limit != 0 {
                ring.not_full.notify_one();
            }
            if head.place != tail.place {
                ring.not_empty.notify_one_relaxed();
            }
            return Ok(());
        }
    }

    fn copy_out(
        &self,
        head: u32,
        tail: u32,
        message: &mut Vec<u8>,
    ) -> Result<u32, RecvError> {
        let mut memory = Map::words(&self.ring, head);
        let (length, first) = memory.split_first().ok_or(RecvError::Broken)?;
        let length = usize::try_from(length.load(Ordering::Relaxed)).ok();
        let units = length.and_then(|length| Some((length, units(length)?)));
        let (length, units) = units.ok_or(RecvError::Broken)?;
        let there = tail.wrapping_sub(head);
        if units > there || there > MOST_UNITS {
            return Err(RecvError::Broken);
        }
        let rounded = length.next_multiple_of(WORD);
        message.clear();
        if message.try_reserve(rounded).is_err() {
            return Err(RecvError::TooLarge);
        }
        message.resize(rounded, 0);
        let (mut bytes, _) = message.as_chunks_mut::<WORD>();
        let mut place = head;
        let mut words = first;
        loop {
            let now = words.len().min(bytes.len());
            let (front, back) = bytes.split_at_mut(now);
            for (bytes, word) in front.iter_mut().zip(words) {
                *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
            }
            bytes = back;
            if bytes.is_empty() {
                break;
            }
            place = place.wrapping_add((memory.len() / UNIT_WORDS) as u32);
            memory = Map::words(&self.ring, place);
            if memory.is_empty() {
                return Err(RecvError::Broken);
            }
            words = memory;
        }
        message.truncate(length);
        Ok(units)
    }

    /// Waits until the other side has moved on.
    fn wait(
        &self,
        side: Side,
        deadline: Deadline,
        hope: impl Fn() -> bool,
    ) -> Result<(), RecvError> {
        let ring = &self.ring;
        let (spin, bell) = match side {
            Side::Producers => (&self.room, &ring.not_full),
            Side::Consumers => (&self.message, &ring.not_empty),
        };
        let look = || {
            let head = Mark::load(&ring.head.mark, Ordering::Relaxed);
            let tail = Mark::load(&ring.tail.mark, Ordering::Relaxed);
            match side {
                Side::Producers => tail.count.wrapping_sub(head.count) < self.limit,
                Side::Consumers => tail.place != head.place,
            }
        };
        let hopeless = || {
            // A last look: it may have been sent before hope was lost.
            if hope() || look() {
                Ok(())
            } else {
                Err(RecvError::Disconnected)
            }
        };
        hopeless()?;
        if deadline.is_over() {
            return if look() {
                Ok(())
            } else {
                Err(RecvError::Empty)
            };
        }
        if spin.until(|| look().then_some(())).is_some() {
            return Ok(());
        }
        loop {
            let slept = bell.sleep_unless(look, deadline);
            if look() {
                return Ok(());
            }
            match slept {
                Slept::Woken | Slept::Slice => hopeless()?,
                Slept::Deadline => return Err(RecvError::Empty),
            }
        }
    }

    /// How many messages wait.
    pub(crate) fn len(&self) -> usize {
        let mut head = Mark::load(&self.ring.head.mark, Ordering::Acquire);
        loop {
            let tail = Mark::load(&self.ring.tail.mark, Ordering::Acquire);
            let then = Mark::load(&self.ring.head.mark, Ordering::Acquire);
            // Nothing was taken meanwhile: both are of the moment of the tail.
            if head.count == then.count {
                return tail.count.wrapping_sub(head.count) as usize;
            }
            head = then;
        }
    }

    /// Whether no message waits: what is cheap to ask, and often.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Acquire, both: who sees a message sent or taken sees what was written before.
        let head = Mark::load(&self.ring.head.mark, Ordering::Acquire);
        let tail = Mark::load(&self.ring.tail.mark, Ordering::Acquire);
        tail.place == head.place
    }

    /// How many were taken so far, a number that wraps.
    pub(crate) fn taken(&self) -> u32 {
        Mark::load(&self.ring.head.mark, Ordering::Acquire).count
    }

    /// Ends whatever turn this process has, for who has just seen it dead: the others
    /// need not find that out by waiting.
    pub(crate) fn reclaim(&self, dead: RegistryId) {
        self.ring.producers.turn.reclaim(dead);
        self.ring.consumers.turn.reclaim(dead);
    }

    /// How many were sent so far, a number that wraps.
    pub(crate) fn sent(&self) -> u32 {
        Mark::load(&self.ring.tail.mark, Ordering::Acquire).count
    }

    /// Has everybody who waits for a message look again whether there is hope.
    pub(crate) fn wake_receivers(&self) {
        self.ring.not_empty.notify_unconditionally(u32::MAX);
    }
}

#[derive(Clone, Copy)]
enum Side {
    Producers,
    Consumers,
}

/// Waits for the turn; gives up at the deadline, but not before whoever has it now had
/// the time to finish its copy, or its death to be noticed. What it left half done is
/// visible to nobody, so its death is no news.
#[inline]
fn take_turn(turn: &RawLock, deadline: Deadline) -> Option<RawGuard<'_>> {
    let acquired = turn.acquire(deadline.or_later(2 * SLICE))?;
    Some(RawGuard::new(turn, acquired))
}

fn too_much() -> Error {
    Error::System {
        doing: "keep more than 16 GiB of messages that wait",
        source: std::io::ErrorKind::OutOfMemory.into(),
    }
}

fn head_seen(ring: &Ring) -> Mark {
    Mark::load(&ring.producers.head_seen, Ordering::Relaxed)
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("len", &self.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
