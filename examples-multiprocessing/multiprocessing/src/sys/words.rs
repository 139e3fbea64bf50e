//! Copies between bytes and words of shared memory.
#![allow(
    unsafe_code,
    reason = "copies more at a time than the largest atomic number has"
)]

use std::hint;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::atomic::Ordering;
use super::futex;
use super::segment::{PAGE, Word};

const WORD: usize = size_of::<Word>();

/// Writes bytes to the first of these words, which have room for all of them.
#[inline]
pub(crate) fn write(words: &[Word], bytes: &[u8]) {
    read_before_writing(words, bytes.len());
    if bytes.len() < LARGE {
        write_ordinarily(words, bytes);
    } else {
        write_large(words, bytes);
    }
}

#[inline]
fn write_ordinarily(words: &[Word], bytes: &[u8]) {
    let done = blocks::write(words, bytes);
    write_words(&words[done / WORD..], &bytes[done..]);
}

#[inline]
fn write_words(words: &[Word], bytes: &[u8]) {
    let (whole, last) = bytes.as_chunks::<WORD>();
    for (word, bytes) in words.iter().zip(whole) {
        word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
    }
    if !last.is_empty() {
        // By shifts: a load of a word that was just stored byte by byte waits until all
        // stores before it are done, those to lines in another processor's cache too.
        let padded = (last.iter().rev())
            .fold(0, |word, byte| word << u8::BITS | u64::from(*byte));
        words[whole.len()].store(padded.to_le(), Ordering::Relaxed);
    }
}

/// From this many bytes on, a write is timed.
const LARGE: usize = 16 << 10;

/// A large write is slow if it takes longer than this for each KiB. On an AMD EPYC that is
/// some three times as long as where both processors have a cache in common, and a third of
/// what it takes where they have none.
const SLOW: Duration = Duration::from_nanos(150);

/// How this process does its next large write: one of the two below; or, with a larger
/// number, past the caches, which takes one off the number.
static LARGE_WRITES: AtomicU32 = AtomicU32::new(ORDINARY);

/// Ordinarily. If it is slow, the next one is on trial: it may have been interrupted.
const ORDINARY: u32 = 0;
/// Ordinarily. If it is slow, those after it go past the caches.
const TRIAL: u32 = 1;
/// The next trial comes after so many writes. A slow write takes about ten times as long as
/// one past the caches, so that trials take less than a tenth of the time.
const PAST_CACHES: u32 = 128;

/// Writes many bytes, ordinarily as long as that is quick, and past the caches otherwise.
///
/// Memory that a process has read is in its processor's cache. If the writer's processor
/// has that cache, too, an ordinary write is the quickest, and the reader finds there what
/// was written. But processors of a large machine may have no common cache, as may those
/// of a virtual one. Then each line is fetched across the machine before it is written,
/// although nobody needs what is in it, which takes ten times as long. Past the caches a
/// write is as quick there as with a common cache, and the read takes somewhat longer.
#[cold]
fn write_large(words: &[Word], bytes: &[u8]) {
    let now = LARGE_WRITES.load(Ordering::Relaxed);
    if now > TRIAL {
        LARGE_WRITES.store(now - 1, Ordering::Relaxed);
        return write_past_caches(words, bytes);
    }
    let start = futex::now();
    write_ordinarily(words, bytes);
    let next = next_after(now, futex::now().saturating_sub(start), bytes.len());
    if next != now {
        LARGE_WRITES.store(next, Ordering::Relaxed);
    }
}

/// What follows an ordinary write of this many bytes.
fn next_after(now: u32, took: Duration, length: usize) -> u32 {
    let kib = u32::try_from(length / 1024).unwrap_or(u32::MAX);
    match now {
        _ if took <= SLOW.saturating_mul(kib) => ORDINARY,
        ORDINARY => TRIAL,
        _ => PAST_CACHES,
    }
}

fn write_past_caches(words: &[Word], bytes: &[u8]) {
    // To write a part of a line past the caches takes longer.
    let whole = words.as_ptr().align_offset(blocks::BLOCK);
    let (first, rest) = bytes.split_at(whole * WORD);
    write_words(words, first);
    let words = &words[whole..];
    let done = blocks::write_past_caches(words, rest);
    write_words(&words[done / WORD..], &rest[done..]);
}

/// Touches the first and the last of the pages that are about to be written, if one of them
/// may be new to this process.
///
/// A forked child has none of its parent's entries for shared memory in its page table. For
/// a page that it writes first the system makes one entry. For one that it reads first it
/// makes those of the pages around it as well, as a rule 16 in all, and they can be written.
/// That is one page fault in the place of 16.
#[inline]
fn read_before_writing(words: &[Word], length: usize) {
    let within_page = words.as_ptr().addr() % PAGE;
    if within_page != 0 && within_page + length < PAGE {
        return;
    }
    let length = length.div_ceil(WORD).min(words.len());
    if let [first, .., last] = &words[..length] {
        for word in [first, last] {
            hint::black_box(word.load(Ordering::Relaxed));
        }
    }
}

/// Appends the first `length` bytes of these words, which have as many.
#[inline]
pub(crate) fn read(words: &[Word], length: usize, bytes: &mut Vec<u8>) {
    let end = bytes.len() + length;
    let done = blocks::read(words, length, bytes);
    for word in &words[done / WORD..length.div_ceil(WORD)] {
        let word = word.load(Ordering::Relaxed);
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.truncate(end);
}

/// Copies of whole cache lines. The compiler copies atomic words one by one, which is
/// slower.
#[cfg(target_arch = "x86_64")]
mod blocks {
    use super::{WORD, Word};

    pub(super) const BLOCK: usize = 64;

    /// Returns how many bytes it has written.
    #[inline]
    pub(super) fn write(words: &[Word], bytes: &[u8]) -> usize {
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        let words = &words[..blocks.len() * (BLOCK / WORD)];
        for (words, block) in words.chunks_exact(BLOCK / WORD).zip(blocks) {
            let to = words.as_ptr().cast_mut().cast();
            // SAFETY: both are a block long, and apart, as nobody has a reference to
            // shared memory as bytes. The words are atomics, which may be written
            // through a shared reference.
            unsafe { copy(block.as_ptr(), to) };
        }
        words.len() * WORD
    }

    /// Returns how many bytes it has written. The words begin with a cache line.
    pub(super) fn write_past_caches(words: &[Word], bytes: &[u8]) -> usize {
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        let words = &words[..blocks.len() * (BLOCK / WORD)];
        for (words, block) in words.chunks_exact(BLOCK / WORD).zip(blocks) {
            let to = words.as_ptr().cast_mut().cast();
            // SAFETY: as in `write`; and the words are aligned to a block, as each block
            // is as long as the one before.
            unsafe { stream(block.as_ptr(), to) };
        }
        // Such stores have no order, not even with the release of a cursor after them.
        // SAFETY: it touches nothing.
        unsafe { std::arch::asm!("sfence", options(nostack, preserves_flags)) };
        words.len() * WORD
    }

    /// Returns how many bytes it has appended.
    #[inline]
    pub(super) fn read(words: &[Word], length: usize, bytes: &mut Vec<u8>) -> usize {
        let words = &words[..length / BLOCK * (BLOCK / WORD)];
        let done = words.len() * WORD;
        bytes.reserve(done);
        let (spare, _) = bytes.spare_capacity_mut().as_chunks_mut::<BLOCK>();
        for (words, block) in words.chunks_exact(BLOCK / WORD).zip(spare) {
            // SAFETY: both are a block long, and apart, as nobody has a reference to
            // shared memory as bytes.
            unsafe { copy(words.as_ptr().cast(), block.as_mut_ptr().cast()) };
        }
        let filled = bytes.len() + done;
        // SAFETY: `reserve` made room for these bytes, and the loop has filled them.
        unsafe { bytes.set_len(filled) };
        done
    }

    /// Copies one block by this instruction. Another process may write to the shared one
    /// meanwhile, against the rules of this library: then it is any bytes. It is assembly for
    /// that reason, since the compiler may take for granted that nobody disturbs a copy of
    /// its own.
    macro_rules! copy_storing_by {
        ($store:literal, $from:ident, $to:ident) => {
            std::arch::asm!(
                "movups {a}, [{from}]",
                "movups {b}, [{from} + 16]",
                "movups {c}, [{from} + 32]",
                "movups {d}, [{from} + 48]",
                concat!($store, " [{to}], {a}"),
                concat!($store, " [{to} + 16], {b}"),
                concat!($store, " [{to} + 32], {c}"),
                concat!($store, " [{to} + 48], {d}"),
                from = in(reg) $from,
                to = in(reg) $to,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack, preserves_flags),
            )
        };
    }

    /// Copies one block.
    ///
    /// # Safety
    ///
    /// Both are valid for a block and do not overlap.
    #[inline]
    unsafe fn copy(from: *const u8, to: *mut u8) {
        // SAFETY: it touches nothing but the blocks, which are valid, and these
        // registers.
        unsafe { copy_storing_by!("movups", from, to) };
    }

    /// As [`copy`], with stores that leave nothing in the caches.
    ///
    /// # Safety
    ///
    /// As there, and `to` is aligned to 16 bytes: the processor ends the process otherwise.
    #[inline]
    unsafe fn stream(from: *const u8, to: *mut u8) {
        // SAFETY: as in `copy`, and aligned.
        unsafe { copy_storing_by!("movntps", from, to) };
    }
}

/// No assembly for this processor: everything is copied word by word.
#[cfg(not(target_arch = "x86_64"))]
mod blocks {
    use super::Word;

    pub(super) const BLOCK: usize = 64;

    pub(super) fn write(_: &[Word], _: &[u8]) -> usize {
        0
    }

    pub(super) fn write_past_caches(_: &[Word], _: &[u8]) -> usize {
        0
    }

    pub(super) fn read(_: &[Word], _: usize, _: &mut Vec<u8>) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::thread;
    use std::time::Instant;

    use nix::sys::resource::{UsageWho, getrusage};

    use super::*;
    use crate::sys::segment::Segment;

    #[test]
    fn most_pages_of_a_new_mapping_are_mapped_without_a_fault_of_their_own() {
        const PAGES: u16 = 256;
        let bytes = vec![1; usize::from(PAGES) * PAGE];
        let old = Segment::new(bytes.len()).unwrap();
        write(old.words(0), &bytes);
        let new = old.as_fd().try_clone_to_owned().unwrap();
        let new = Segment::from_fd(new).unwrap();
        let before = page_faults();
        for message in new.words(0).chunks_exact(10) {
            write(message, &[2; 10 * WORD]);
        }
        let faults = page_faults() - before;
        assert!(
            (1..i64::from(PAGES) / 2).contains(&faults),
            "{faults} faults"
        );
    }

    #[test]
    fn two_slow_writes_in_a_row_send_the_next_past_the_caches() {
        let quick = Duration::from_micros(1);
        let slow = Duration::from_micros(20);
        let after = |now, took| next_after(now, took, 64 << 10);
        assert_eq!(after(ORDINARY, quick), ORDINARY);
        assert_eq!(after(ORDINARY, slow), TRIAL);
        assert_eq!(after(TRIAL, quick), ORDINARY);
        assert_eq!(after(TRIAL, slow), PAST_CACHES);
    }

    /// Fails within a second on a machine with two processors, not for certain, if the stores
    /// past the caches are not put before the release.
    #[test]
    fn what_was_written_past_the_caches_is_there_once_the_cursor_is() {
        const END: u64 = u64::MAX;
        const HANG: Duration = Duration::from_mins(1);
        let start = Instant::now();
        let memory = Segment::new(3 * PAGE).unwrap();
        // Each in lines of its own.
        let message = &memory.words(0)[..blocks::BLOCK / WORD];
        let (written, read) = (&memory.words(PAGE)[0], &memory.words(2 * PAGE)[0]);
        let wait_for_another = |cursor: &Word, seen| {
            loop {
                for _ in 0..1000 {
                    let now = cursor.load(Ordering::Acquire);
                    if now != seen {
                        return now;
                    }
                }
                assert!(start.elapsed() < HANG, "it hangs");
                // There may be one processor only.
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut round = 0;
                while round < 100_000 && start.elapsed() < Duration::from_secs(1) {
                    round += 1;
                    let bytes = u64::to_ne_bytes(round).repeat(message.len());
                    write_past_caches(message, &bytes);
                    written.store(round, Ordering::Release);
                    wait_for_another(read, round - 1);
                }
                written.store(END, Ordering::Release);
            });
            let mut round = 0;
            let mut missing = 0;
            loop {
                round = wait_for_another(written, round);
                if round == END {
                    break;
                }
                let mut words = message.iter();
                let whole = words.all(|word| word.load(Ordering::Relaxed) == round);
                missing += u32::from(!whole);
                read.store(round, Ordering::Release);
            }
            assert_eq!(missing, 0);
        });
    }

    fn page_faults() -> i64 {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
        usage.minor_page_faults()
    }

    #[test]
    fn bytes_of_any_length_come_back_and_nothing_beyond_is_touched() {
        const WORDS: usize = 40;
        let all: Vec<u8> = (1..=255).cycle().take(WORDS * WORD + 1).collect();
        let check = |write: fn(&[Word], &[u8]), length| {
            // At an odd address, as the bytes of a message may be.
            let bytes = &all[1..=length];
            let words = [const { Word::new(u64::MAX) }; WORDS];
            write(&words, bytes);
            let used = length.div_ceil(WORD);
            assert!(
                words[used..]
                    .iter()
                    .all(|word| { word.load(Ordering::Relaxed) == u64::MAX })
            );
            let mut read_back = vec![7, 7, 7];
            read(&words, length, &mut read_back);
            assert_eq!(read_back, [&[7, 7, 7], bytes].concat());
        };
        for length in 0..=WORDS * WORD {
            check(write, length);
            if length >= blocks::BLOCK {
                check(write_past_caches, length);
            }
        }
    }
}
