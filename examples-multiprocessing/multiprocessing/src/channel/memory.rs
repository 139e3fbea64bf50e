//! Where in a channel's memory a place of its stream lies.

use std::ops::Range;

use super::Ring;
use crate::error::Error;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::chunk::{CHUNK_WORDS, CHUNKS, KEPT};
use crate::sys::segment::{Shared, Word, shareable};

/// Places are counted in units of two words.
pub(super) const UNIT_WORDS: usize = 2;
const WORD: usize = size_of::<u64>();
const CHUNK_UNITS: u32 = (CHUNK_WORDS / UNIT_WORDS) as u32;
/// As much of the stream as can be in memory at a time. One chunk less than there are,
/// as the first and the last may be begun.
pub(super) const MOST_UNITS: u32 = (CHUNKS as u32 - 1) * CHUNK_UNITS;
/// The table's space is taken in pieces of so many entries.
const TABLE_PIECE: usize = if CHUNKS < 512 { CHUNKS } else { 512 };
/// The bytes behind the ring: the table, an entry a chunk, then the chunks.
pub(super) const TAIL: usize = (CHUNKS + CHUNKS * CHUNK_WORDS) * WORD;

shareable! {
    /// Which chunk of memory each chunk of the stream lies in. Written by the producer
    /// whose turn it is, in an order that leaves it whole wherever that is killed.
    ///
    /// An entry of the table is good from when its chunk of the stream is mapped. When
    /// the consumers have left it, its memory serves again for the chunk that is
    /// mapped next. So the memory follows the largest backlog, and goes round in as
    /// little as the backlog needs.
    pub(super) struct Map {
        /// A [`Mapped`].
        mapped: AtomicU64,
        /// So many chunks, the first, have their space.
        taken: AtomicU64,
        /// So many were in use at once since it last began anew.
        peak: AtomicU64,
        /// 1 while the map begins anew, which a killed producer's successor finishes.
        begins_anew: AtomicU64,
    }
}

/// In one word, so that it changes at once.
#[derive(Clone, Copy)]
struct Mapped {
    /// The chunk of the stream that is mapped next.
    next: u32,
    /// So many chunks of memory are in the round, the first. As many entries before
    /// `next` name them, each once.
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

/// The chunks of the stream have numbers that wrap where its places do.
const STREAM_CHUNKS: u32 = (u32::MAX / CHUNK_UNITS).wrapping_add(1);

fn chunk_of(place: u32) -> u32 {
    place / CHUNK_UNITS
}

fn chunk_after(chunk: u32, steps: u32) -> u32 {
    chunk.wrapping_add(steps) % STREAM_CHUNKS
}

/// Where these chunks of memory lie behind the ring.
fn chunk_bytes(chunks: Range<usize>) -> Range<usize> {
    let start = |chunk| (CHUNKS + chunk * CHUNK_WORDS) * WORD;
    start(chunks.start)..start(chunks.end)
}

impl Map {
    /// With nothing mapped.
    pub(super) fn new() -> Self {
        Self {
            mapped: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            begins_anew: AtomicU64::new(0),
        }
    }

    /// Makes sure that `units` from `tail` on are mapped, where `head` is what the
    /// consumers have not left yet. For the producer whose turn it is.
    #[inline]
    pub(super) fn make_room(
        ring: &Shared<Ring>,
        tail: u32,
        units: u32,
        head: impl Fn() -> u32,
    ) -> Result<(), Error> {
        let this = &ring.map;
        if this.begins_anew.load(Ordering::Relaxed) != 0 {
            this.begin_anew(ring, tail)?;
        }
        let last = chunk_of(tail.wrapping_add(units - 1));
        let mapped = Mapped::from_word(this.mapped.load(Ordering::Relaxed));
        let missing = chunk_after(last, 1).wrapping_sub(mapped.next) % STREAM_CHUNKS;
        // Nothing is missing, and then the difference is the chunks mapped ahead.
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
        if head == tail && (mapped.round as usize > KEPT || self.has_to_spare() > 0)
        {
            self.begin_anew(ring, tail)?;
            let anew = Mapped::from_word(self.mapped.load(Ordering::Relaxed));
            missing =
                (missing + mapped.next).wrapping_sub(anew.next) % STREAM_CHUNKS;
            mapped = anew;
        }
        while missing > 0 {
            let oldest = mapped.next.wrapping_sub(mapped.round) % STREAM_CHUNKS;
            let memory = if mapped.round > 0 && oldest != chunk_of(head) {
                Self::entry(ring, oldest).load(Ordering::Relaxed)
            } else {
                let fresh = mapped.round as usize;
                self.take(ring, fresh, missing as usize)?;
                mapped.round += 1;
                fresh as u64
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

    /// With nothing in the stream, goes back to the first chunk of memory for the one
    /// at `tail`, and gives back what a passing backlog had needed.
    fn begin_anew(&self, ring: &Shared<Ring>, tail: u32) -> Result<(), Error> {
        // Between the next two steps the first chunk of memory has two entries, so
        // until both are done nothing may be mapped.
        self.begins_anew.store(1, Ordering::Relaxed);
        let chunk = chunk_of(tail);
        Self::set_entry(ring, chunk, 0)?;
        let mapped = Mapped {
            next: chunk_after(chunk, 1),
            round: 1,
        };
        self.mapped.store(mapped.to_word(), Ordering::Relaxed);
        self.begins_anew.store(0, Ordering::Relaxed);

        let taken = self.taken.load(Ordering::Relaxed) as usize;
        let kept = taken - self.has_to_spare();
        self.peak.store(0, Ordering::Relaxed);
        if kept < taken {
            self.taken.store(kept as u64, Ordering::Relaxed);
            ring.give_space_back(chunk_bytes(kept..taken));
        }
        Ok(())
    }

    /// How many chunks of memory there are beyond twice what was needed since the map
    /// began anew; of a large backlog's, half at a time, as another may follow.
    fn has_to_spare(&self) -> usize {
        let peak = self.peak.load(Ordering::Relaxed) as usize;
        let taken = self.taken.load(Ordering::Relaxed) as usize;
        let kept = peak.max(KEPT).saturating_mul(2).max(taken / 2);
        taken.saturating_sub(kept)
    }

    /// Makes sure that chunk `fresh` of the memory has its space, and the `missing` ones
    /// from there on, with as many again to spare.
    fn take(
        &self,
        ring: &Shared<Ring>,
        fresh: usize,
        missing: usize,
    ) -> Result<(), Error> {
        let taken = self.taken.load(Ordering::Relaxed) as usize;
        if fresh < taken {
            return Ok(());
        }
        let to_spare = taken.clamp(KEPT, 1 << 10);
        let enough = (fresh + missing).max(taken + to_spare).min(CHUNKS);
        ring.take_space(chunk_bytes(taken..enough))?;
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

    /// The memory from a place of the stream up to the end of the chunk it lies in.
    /// Nothing where the table is broken.
    #[inline]
    pub(super) fn words(ring: &Shared<Ring>, place: u32) -> &[Word] {
        let memory = Self::entry(ring, chunk_of(place)).load(Ordering::Relaxed);
        let within = (place % CHUNK_UNITS) as usize * UNIT_WORDS;
        let start = (memory as usize)
            .checked_mul(CHUNK_WORDS)
            .and_then(|start| start.checked_add(CHUNKS))
            .filter(|start| *start < ring.tail().len());
        start
            .and_then(|start| {
                let end = start.checked_add(CHUNK_WORDS)?;
                ring.tail().get(start + within..end)
            })
            .unwrap_or_default()
    }
}
