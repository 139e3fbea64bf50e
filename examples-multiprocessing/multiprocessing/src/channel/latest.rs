//! The copy of a short message that lies beside the tail.

use super::{Cursor, WORD};
use crate::sys::atomic::{AtomicU64, Ordering, fence};
use crate::sys::chunk::LATEST_WORDS;
use crate::sys::segment::shareable;
use crate::sys::words;

/// There is no copy, or it is being changed. A tail can have this value as well: the message
/// before it is read from the ring.
const NONE: u64 = u64::MAX;

shareable! {
    /// A copy of the message that was sent last, if it is short. A consumer that waits for
    /// it has to fetch the cache line of the tail in any case: with the message in it, it
    /// need not fetch those of the ring, which takes as long again.
    ///
    /// It is a [seqlock](https://en.wikipedia.org/wiki/Seqlock): a producer may write the
    /// next message to it while a consumer reads, which then reads from the ring.
    pub(super) struct Latest {
        /// The tail after the message; [`NONE`] while the copy changes.
        tail: AtomicU64,
        length: AtomicU64,
        words: [AtomicU64; LATEST_WORDS],
    }
}

impl Latest {
    /// With no copy.
    pub(super) fn new() -> Self {
        Self {
            tail: AtomicU64::new(NONE),
            length: AtomicU64::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Before `tail` is published, the tail after this message. Needs the producer lock.
    #[inline]
    pub(super) fn write(&self, message: &[u8], tail: Cursor) {
        self.tail.store(NONE, Ordering::Relaxed);
        if message.len() > LATEST_WORDS * WORD {
            return;
        }
        // Pairs with the fence in `read`: a reader that sees any of this message finds NONE.
        fence(Ordering::Release);
        self.length.store(message.len() as u64, Ordering::Relaxed);
        words::write(&self.words, message);
        self.tail.store(tail.to_word(), Ordering::Release);
    }

    /// The length of the message before `tail`, if there is a copy.
    #[inline]
    pub(super) fn length(&self, tail: Cursor) -> Option<usize> {
        // Acquire: the copy that belongs to this tail is there.
        let copied = self.tail.load(Ordering::Acquire);
        if copied == NONE || copied != tail.to_word() {
            return None;
        }
        let length = usize::try_from(self.length.load(Ordering::Relaxed)).ok()?;
        (length <= LATEST_WORDS * WORD).then_some(length)
    }

    /// Appends the message of this [`length`](Self::length). Returns whether it is still
    /// the one before `tail`.
    #[inline]
    pub(super) fn read(
        &self,
        length: usize,
        tail: Cursor,
        to: &mut Vec<u8>,
    ) -> bool {
        words::read(&self.words, length, to);
        fence(Ordering::Acquire);
        self.tail.load(Ordering::Relaxed) == tail.to_word()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::atomic::in_a_model;

    #[test]
    fn the_tail_that_stands_for_no_copy_has_none() {
        in_a_model(|| {
            let latest = Latest::new();
            let last = Cursor::from_word(NONE);
            assert_eq!(latest.length(last), None);
            latest.write(&[7], last);
            assert_eq!(latest.length(last), None);
            let first = Cursor::from_word(0);
            latest.write(&[7], first);
            assert_eq!(latest.length(first), Some(1));
        });
    }
}
