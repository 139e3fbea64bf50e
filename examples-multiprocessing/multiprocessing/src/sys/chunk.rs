//! The sizes of the pieces of a channel's memory. The model check has smaller ones.

use std::time::Duration;

/// The words of one piece of a channel's memory: 64 KiB.
pub(crate) const CHUNK_WORDS: usize = 1 << 13;

/// The most pieces that one channel has: 16 GiB, of which it takes what it needs.
pub(crate) const CHUNKS: usize = 1 << 18;

/// The number of pieces that are taken for the first message: a channel through which little
/// goes needs no more.
pub(crate) const FIRST: usize = 1;

/// The fewest pieces that are taken at a time after that.
pub(crate) const FURTHER: usize = 4;

/// The number of pieces that the messages go round in even if fewer would do: 2 MiB. When
/// a producer returns to a piece, what a consumer read there has left the cache of the
/// consumer's processor for the common one. From another processor's own cache it would
/// take several times as long.
pub(crate) const ROUND: usize = 32;

/// For how long a channel keeps memory that it does not need. Backlogs often follow one
/// another.
pub(crate) const KEPT: Duration = Duration::from_millis(500);

/// The length of the longest message that is copied beside the tail, in words. It fills the
/// tail's two cache lines.
pub(crate) const LATEST_WORDS: usize = 13;
