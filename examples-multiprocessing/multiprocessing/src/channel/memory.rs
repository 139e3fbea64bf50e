//! Which memory a position of a channel's stream lies in.

use super::Ring;
use crate::error::Error;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::chunk::{CHUNK_WORDS, CHUNKS, FIRST, FURTHER, KEPT, ROUND};
use crate::sys::futex;
use crate::sys::segment::{Shared, Word, shareable};

/// Positions are counted in units of two words.
pub(super) const UNIT_WORDS: usize = 2;
const WORD: usize = size_of::<u64>();
const CHUNK_UNITS: u32 = (CHUNK_WORDS / UNIT_WORDS) as u32;
/// The most units of the stream that can be in memory at a time. One chunk less than there
/// are, as the first and the last may be used in part.
pub(super) const MOST_UNITS: u32 = (CHUNKS as u32 - 1) * CHUNK_UNITS;
/// The number of entries of the table whose space is taken at a time.
const TABLE_PIECE: usize = if CHUNKS < 512 { CHUNKS } else { 512 };
/// The bytes after the ring: the table, an entry for each chunk. The chunks follow.
pub(super) const TABLE: usize = CHUNKS * WORD;

shareable! {
    /// Which chunk of memory each chunk of the stream lies in. Written under the producer
    /// lock, in an order that leaves it whole whenever a producer is killed.
    ///
    /// An entry of the table is valid as soon as its chunk of the stream is mapped. When
    /// the consumers have left it, its memory serves again for the chunk that is mapped
    /// next. So the memory follows the largest backlog, and the messages go round in as
    /// little of it as the backlog needs, but in no less than [`ROUND`] chunks. Table, file
    /// and address space grow with that, too. What was not needed for [`KEPT`] is given back
    /// when a further chunk is to be mapped and no message waits.
    pub(super) struct Map {
        /// A [`Mapped`].
        mapped: AtomicU64,
        /// The number of leading chunks whose space is taken.
        taken: AtomicU64,
        /// The largest number of chunks in use at once since `peak_since`.
        peak: AtomicU64,
        /// On the monotonic clock, in nanoseconds.
        peak_since: AtomicU64,
        /// 1 during a restart, which the next producer finishes if this one is killed.
        restarting: AtomicU64,
    }
}

/// In one word, so that it changes at once.
#[derive(Clone, Copy)]
struct Mapped {
    /// The chunk of the stream that is mapped next.
    next: u32,
    /// The number of leading chunks of memory that are in use in turn. The same number
    /// of entries before `next` name them, each once.
    round: u32,
}

impl Mapped {
    fn from_word(word: u64) -> Self {
        Self {
            next: (word >> 32) as u32,
            round: word as u32,
        }
    }

    fn to_word(self) -> u64 {
        u64::from(self.next) << 32 | u64::from(self.round)
    }
}

/// The number of chunks of the stream after which their numbers wrap, as its positions do.
const STREAM_CHUNKS: u32 = (u32::MAX / CHUNK_UNITS).wrapping_add(1);

fn chunk_of(place: u32) -> u32 {
    place / CHUNK_UNITS
}

fn chunk_after(chunk: u32, steps: u32) -> u32 {
    chunk.wrapping_add(steps) % STREAM_CHUNKS
}

impl Map {
    /// With nothing mapped.
    pub(super) fn new() -> Self {
        Self {
            mapped: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            peak_since: AtomicU64::new(0),
            restarting: AtomicU64::new(0),
        }
    }

    /// Makes sure that `units` from `tail` on are mapped; `head` is the first position that
    /// the consumers have not left yet. Needs the producer lock.
    #[inline]
    pub(super) fn make_room(
        ring: &Shared<Ring>,
        tail: u32,
        units: u32,
        head: impl Fn() -> u32,
    ) -> Result<(), Error> {
        let this = &ring.map;
        if this.restarting.load(Ordering::Relaxed) != 0 {
            this.restart(ring, tail)?;
        }
        let last = chunk_of(tail.wrapping_add(units - 1));
        let mapped = Mapped::from_word(this.mapped.load(Ordering::Relaxed));
        let missing = chunk_after(last, 1).wrapping_sub(mapped.next) % STREAM_CHUNKS;
        // A large number means that none is missing and some are mapped ahead.
        if missing == 0 || missing > CHUNKS as u32 {
            return Ok(());
        }
        this.map_more(ring, tail, missing, head())
    }

    #[cold]
    fn map_more(
        &self,
        ring: &Shared<Ring>,
        tail: u32,
        missing: u32,
        head: u32,
    ) -> Result<(), Error> {
        let mut mapped = Mapped::from_word(self.mapped.load(Ordering::Relaxed));
        let mut missing = missing;
        if head == tail
            && (mapped.round as usize > ROUND || self.is_due(nanoseconds()))
        {
            self.restart(ring, tail)?;
            let restarted = Mapped::from_word(self.mapped.load(Ordering::Relaxed));
            missing =
                (missing + mapped.next).wrapping_sub(restarted.next) % STREAM_CHUNKS;
            mapped = restarted;
        }
        while missing > 0 {
            let oldest = mapped.next.wrapping_sub(mapped.round) % STREAM_CHUNKS;
            let fresh = mapped.round as usize;
            let may_reuse = fresh > 0 && oldest != chunk_of(head);
            let may_take = !may_reuse || fresh < ROUND;
            let memory = match may_take.then(|| self.take(ring, fresh, missing)) {
                Some(Ok(())) => {
                    mapped.round += 1;
                    fresh as u64
                }
                Some(Err(error)) if !may_reuse => return Err(error),
                _ => Self::entry(ring, oldest).load(Ordering::Relaxed),
            };
            Self::set_entry(ring, mapped.next, memory)?;
            mapped.next = chunk_after(mapped.next, 1);
            self.mapped.store(mapped.to_word(), Ordering::Relaxed);
            missing -= 1;
        }
        let peak = self.peak.load(Ordering::Relaxed).max(mapped.round.into());
        self.peak.store(peak, Ordering::Relaxed);
        Ok(())
    }

    /// With nothing in the stream, returns to the first chunk of memory for the one at
    /// `tail`, and gives back what a former backlog had needed.
    fn restart(&self, ring: &Shared<Ring>, tail: u32) -> Result<(), Error> {
        // Between the next two steps the first chunk of memory has two entries, so
        // until both are done nothing may be mapped.
        self.restarting.store(1, Ordering::Relaxed);
        let chunk = chunk_of(tail);
        Self::set_entry(ring, chunk, 0)?;
        let mapped = Mapped {
            next: chunk_after(chunk, 1),
            round: 1,
        };
        self.mapped.store(mapped.to_word(), Ordering::Relaxed);
        self.restarting.store(0, Ordering::Relaxed);

        let now = nanoseconds();
        if !self.is_due(now) {
            return Ok(());
        }
        let taken = self.taken.load(Ordering::Relaxed) as usize;
        let peak = self.peak.load(Ordering::Relaxed) as usize;
        let kept = taken.min(2 * peak.max(ROUND));
        self.peak.store(0, Ordering::Relaxed);
        self.peak_since.store(now, Ordering::Relaxed);
        if kept < taken {
            self.taken.store(kept as u64, Ordering::Relaxed);
            ring.give_chunks_back(kept..taken);
        }
        Ok(())
    }

    /// Whether memory may be given back that was not needed for a while. To give a chunk
    /// back, to take it again and to touch its pages takes ten times as long as to fill it.
    fn is_due(&self, now: u64) -> bool {
        let taken = self.taken.load(Ordering::Relaxed) as usize;
        let since = self.peak_since.load(Ordering::Relaxed);
        taken > 2 * ROUND && now.saturating_sub(since) >= KEPT.as_nanos() as u64
    }

    /// Makes sure that chunk `fresh` of the memory and the `missing` ones from there on have
    /// their space, with some to spare.
    fn take(
        &self,
        ring: &Shared<Ring>,
        fresh: usize,
        missing: u32,
    ) -> Result<(), Error> {
        let taken = self.taken.load(Ordering::Relaxed) as usize;
        if fresh < taken {
            return Ok(());
        }
        let to_spare = match taken {
            0 => FIRST,
            _ => taken.clamp(FURTHER, 1 << 10),
        };
        let enough = (fresh + missing as usize).max(taken + to_spare).min(CHUNKS);
        ring.take_chunks(taken..enough)?;
        self.taken.store(enough as u64, Ordering::Relaxed);
        Ok(())
    }

    fn entry(ring: &Shared<Ring>, chunk: u32) -> &Word {
        &ring.tail()[chunk as usize % CHUNKS]
    }

    fn set_entry(ring: &Shared<Ring>, chunk: u32, memory: u64) -> Result<(), Error> {
        let place = chunk as usize % CHUNKS;
        if place.is_multiple_of(TABLE_PIECE) {
            ring.take_space(place * WORD..(place + TABLE_PIECE) * WORD)?;
        }
        Self::entry(ring, chunk).store(memory, Ordering::Relaxed);
        Ok(())
    }

    /// The memory from a position of the stream up to the end of the chunk it lies in.
    /// Empty if the table is broken.
    #[inline]
    pub(super) fn words(
        ring: &Shared<Ring>,
        position: u32,
    ) -> Result<&[Word], Error> {
        let entry = Self::entry(ring, chunk_of(position));
        let memory = entry.load(Ordering::Relaxed);
        // No chunk beyond those may be touched. The cursor that led here was read with
        // Acquire, or written by this process, so that this is no older than it.
        if memory >= ring.map.taken.load(Ordering::Relaxed) {
            return Ok(&[]);
        }
        let within = (position % CHUNK_UNITS) as usize * UNIT_WORDS;
        let chunk = ring.chunk(memory as usize)?;
        Ok(chunk.get(within..).unwrap_or_default())
    }
}

/// The monotonic clock.
fn nanoseconds() -> u64 {
    futex::now().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::super::{Channel, Cursor};
    use super::*;
    use crate::sys::atomic::in_a_model;
    use crate::sys::futex::Deadline;

    /// A channel through which so much has gone already, and with nothing in it.
    fn channel_at(last: Cursor, limit: u32) -> Channel {
        let channel = Channel::new(limit).unwrap();
        let ring = &channel.ring;
        for word in [
            &ring.tail.cursor,
            &ring.head.cursor,
            &ring.producers.tail,
            &ring.producers.head_seen,
            &ring.consumers.tail_seen,
        ] {
            last.store(word, Ordering::Relaxed);
        }
        let next = chunk_of(last.position);
        let piece = next - next % TABLE_PIECE as u32;
        Map::set_entry(ring, piece, 0).unwrap();
        let mapped = Mapped { next, round: 0 };
        ring.map.mapped.store(mapped.to_word(), Ordering::Relaxed);
        channel
    }

    fn before_the_wrap(units: u32, messages: u32) -> Cursor {
        Cursor {
            position: units.wrapping_neg(),
            count: messages.wrapping_neg(),
        }
    }

    /// Sends messages of this many bytes, then receives them.
    fn pass(channel: &Channel, messages: u8, length: usize) {
        for byte in 0..messages {
            let message = vec![byte; length];
            channel.send(&message, Deadline::Never).unwrap();
        }
        assert_eq!(channel.len(), usize::from(messages));
        let mut message = Vec::new();
        for byte in 0..messages {
            let now = Deadline::NOW;
            channel.recv(&mut message, now, || true, |_| ()).unwrap();
            assert!(message == vec![byte; length], "message {byte}");
        }
        assert!(channel.is_empty());
    }

    #[test]
    fn positions_and_numbers_of_messages_wrap_at_once() {
        in_a_model(|| {
            let channel = channel_at(before_the_wrap(3, 3), 2);
            for _ in 0..3 {
                pass(&channel, 2, WORD);
            }
            assert_eq!((channel.sent(), channel.taken()), (3, 3));
        });
    }

    #[test]
    fn a_backlog_may_lie_before_and_after_the_wrap() {
        in_a_model(|| {
            let chunk = CHUNK_WORDS * WORD;
            let start = before_the_wrap(CHUNK_UNITS + 1, 2);
            let channel = channel_at(start, 0);
            // Longer than a chunk, with its own length.
            pass(&channel, 2, chunk);
            pass(&channel, 1, 2 * chunk);
            assert_eq!(channel.sent(), 1);
        });
    }
}
