//! Loom's counterparts of what the library stands on.

pub(crate) mod atomic {
    pub(crate) use loom::model as in_a_model;
    use loom::sync::atomic;
    pub(crate) use loom::sync::atomic::{Ordering, fence};

    use super::registry;

    macro_rules! atomic {
        ($name:ident, $number:ty) => {
            /// Loom's, before each change of which a process may be killed.
            #[derive(Debug)]
            pub(crate) struct $name(atomic::$name);

            impl $name {
                pub(crate) fn new(value: $number) -> Self {
                    Self(atomic::$name::new(value))
                }

                pub(crate) fn load(&self, ordering: Ordering) -> $number {
                    self.0.load(ordering)
                }

                pub(crate) fn store(&self, value: $number, ordering: Ordering) {
                    registry::step();
                    self.0.store(value, ordering);
                }

                pub(crate) fn swap(
                    &self,
                    value: $number,
                    ordering: Ordering,
                ) -> $number {
                    registry::step();
                    self.0.swap(value, ordering)
                }

                pub(crate) fn fetch_add(
                    &self,
                    value: $number,
                    ordering: Ordering,
                ) -> $number {
                    registry::step();
                    self.0.fetch_add(value, ordering)
                }

                pub(crate) fn fetch_and(
                    &self,
                    value: $number,
                    ordering: Ordering,
                ) -> $number {
                    registry::step();
                    self.0.fetch_and(value, ordering)
                }

                pub(crate) fn compare_exchange(
                    &self,
                    current: $number,
                    new: $number,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$number, $number> {
                    registry::step();
                    self.0.compare_exchange(current, new, success, failure)
                }

                pub(crate) fn fetch_update(
                    &self,
                    set: Ordering,
                    fetch: Ordering,
                    update: impl FnMut($number) -> Option<$number>,
                ) -> Result<$number, $number> {
                    registry::step();
                    self.0.fetch_update(set, fetch, update)
                }
            }
        };
    }

    atomic!(AtomicU32, u32);
    atomic!(AtomicU64, u64);
}

/// A futex as the kernel's manual describes it.
pub(crate) mod futex {
    use std::collections::VecDeque;
    use std::ptr;
    use std::time::Duration;

    use loom::sync::Mutex;
    use loom::thread::{self, Thread};

    use super::atomic::{AtomicU32, Ordering};
    use super::registry;

    pub(crate) const SLICE: Duration = Duration::from_millis(100);

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Deadline {
        Never,
        At(Duration),
    }

    impl Deadline {
        pub(crate) const NOW: Self = Self::At(Duration::ZERO);

        pub(crate) fn after(timeout: Duration) -> Self {
            Self::At(timeout)
        }

        #[expect(clippy::unused_self, reason = "the library's shape")]
        pub(crate) fn or_later(self, _: Duration) -> Self {
            Self::Never
        }

        pub(crate) fn is_over(self) -> bool {
            self == Self::At(Duration::ZERO)
        }
    }

    pub(crate) fn now() -> Duration {
        Duration::ZERO
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Slept {
        Woken,
        Slice,
        Deadline,
    }

    struct Sleeper {
        word: usize,
        /// What it can be told from others by.
        bits: u32,
        ticket: usize,
        thread: Thread,
    }

    #[derive(Default)]
    struct Queue {
        sleepers: VecDeque<Sleeper>,
        /// The tickets of those whose slice was over.
        sliced: Vec<usize>,
        tickets: usize,
    }

    loom::lazy_static! {
        /// The kernel's hash bucket, with its lock.
        static ref QUEUE: Mutex<Queue> = Mutex::new(Queue::default());
    }

    pub(crate) fn wait(word: &AtomicU32, value: u32, deadline: Deadline) -> Slept {
        wait_as(u32::MAX, word, value, deadline)
    }

    pub(crate) fn wait_as(
        bits: u32,
        word: &AtomicU32,
        value: u32,
        deadline: Deadline,
    ) -> Slept {
        let mut queue = QUEUE.lock().unwrap();
        if registry::slice_is_over() {
            return Slept::Slice;
        }
        if word.load(Ordering::Relaxed) != value {
            return Slept::Woken;
        }
        if deadline.is_over() {
            return Slept::Deadline;
        }
        let ticket = queue.tickets;
        queue.tickets += 1;
        queue.sleepers.push_back(Sleeper {
            word: ptr::from_ref(word).addr(),
            bits,
            ticket,
            thread: thread::current(),
        });
        while queue
            .sleepers
            .iter()
            .any(|sleeper| sleeper.ticket == ticket)
        {
            drop(queue);
            thread::park();
            queue = QUEUE.lock().unwrap();
        }
        if queue.sliced.contains(&ticket) {
            Slept::Slice
        } else {
            Slept::Woken
        }
    }

    /// Time passes, and the slices of at most this many end, of the longest first.
    pub(crate) fn end_slices(count: usize) {
        let mut queue = QUEUE.lock().unwrap();
        for _ in 0..count {
            let Some(sleeper) = queue.sleepers.pop_front() else {
                break;
            };
            queue.sliced.push(sleeper.ticket);
            sleeper.thread.unpark();
        }
    }

    pub(crate) fn wake(word: &AtomicU32, count: u32) {
        for _ in 0..count {
            if !wake_one_of(u32::MAX, word) {
                break;
            }
        }
    }

    pub(crate) fn wake_one_of(these: u32, word: &AtomicU32) -> bool {
        let word = ptr::from_ref(word).addr();
        let mut queue = QUEUE.lock().unwrap();
        let is_one = |s: &Sleeper| s.word == word && s.bits & these != 0;
        let first = queue.sleepers.iter().position(is_one);
        let sleeper = first.and_then(|first| queue.sleepers.remove(first));
        sleeper.is_some_and(|sleeper| {
            sleeper.thread.unpark();
            true
        })
    }

    pub(crate) fn wake_all(word: &AtomicU32) {
        wake(word, u32::MAX);
    }

    /// The number of threads that are asleep.
    pub(crate) fn sleepers() -> usize {
        QUEUE.lock().unwrap().sleepers.len()
    }
}

/// Each thread of a model stands for a process.
pub(crate) mod registry {
    use std::cell::Cell;
    use std::panic::{self, AssertUnwindSafe};

    use loom::sync::Mutex;

    pub(crate) type RegistryId = u32;

    loom::lazy_static! {
        static ref MEMBERS: Mutex<u32> = Mutex::new(0);
        static ref DEAD: Mutex<Vec<RegistryId>> = Mutex::new(Vec::new());
    }
    loom::thread_local! {
        static ME: Cell<RegistryId> = Cell::new(0);
        static SLICE_USED: Cell<bool> = Cell::new(false);
        /// The number of further changes before this process is killed, if it is.
        static KILLED_AFTER: Cell<Option<usize>> = Cell::new(None);
    }

    #[expect(clippy::unnecessary_wraps, reason = "the library's shape")]
    pub(crate) fn ensure_registry() -> Result<(), crate::error::Error> {
        Ok(())
    }

    pub(crate) fn me() -> RegistryId {
        ME.with(|me| {
            if me.get() == 0 {
                let mut members = MEMBERS.lock().unwrap();
                *members += 1;
                me.set(*members);
            }
            me.get()
        })
    }

    pub(crate) fn thread() -> u32 {
        1
    }

    pub(crate) fn is_alive(id: RegistryId) -> bool {
        !DEAD.lock().unwrap().contains(&id)
    }

    /// The process that this thread stands for ends here, as by SIGKILL: nothing
    /// is released. The thread continues as another process.
    pub(crate) fn die() {
        DEAD.lock().unwrap().push(me());
        ME.with(|me| me.set(0));
        super::futex::end_slices(usize::MAX);
    }

    /// What a process that is killed takes with it.
    struct Killed;

    /// Does this work in a process that is killed before it makes this change of shared
    /// memory, its first being 0. If it makes fewer it is not killed.
    pub(crate) fn killed_before(change: usize, work: impl FnOnce()) {
        KILLED_AFTER.with(|after| after.set(Some(change)));
        let done = panic::catch_unwind(AssertUnwindSafe(work));
        KILLED_AFTER.with(|after| after.set(None));
        if let Err(payload) = done
            && !payload.is::<Killed>()
        {
            panic::resume_unwind(payload);
        }
    }

    /// This process is about to change shared memory.
    pub(super) fn step() {
        match KILLED_AFTER.with(Cell::get) {
            None => {}
            Some(0) => {
                KILLED_AFTER.with(|after| after.set(None));
                die();
                // Guards that are dropped now find another process than theirs; and it
                // is known, as no other thread may run while this one unwinds.
                me();
                panic::resume_unwind(Box::new(Killed));
            }
            Some(changes) => {
                KILLED_AFTER.with(|after| after.set(Some(changes - 1)));
            }
        }
    }

    /// Whether a slice is over for this thread: once, after somebody has died.
    pub(super) fn slice_is_over() -> bool {
        !SLICE_USED.with(Cell::get)
            && !DEAD.lock().unwrap().is_empty()
            && !SLICE_USED.with(|looked| looked.replace(true))
    }
}

/// Memory that threads share is shared enough.
pub(crate) mod segment {
    use std::fmt;
    use std::ops::{Deref, Range};

    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::Ordering;

    use super::chunk::{CHUNK_WORDS, CHUNKS};

    /// Leaves room for six holders and three parties.
    pub(crate) const PAGE: usize = 256 + 24;

    macro_rules! shareable {
        ($item:item) => {
            $item
        };
    }
    pub(crate) use shareable;

    /// A word that is read and written without any order of its own. Loom finds out
    /// if the channel gives it none.
    pub(crate) struct Word(UnsafeCell<u64>);

    // What the models are to prove.
    #[expect(unsafe_code, reason = "loom's cell watches who uses it")]
    // SAFETY: loom checks each use.
    unsafe impl Sync for Word {}
    #[expect(unsafe_code, reason = "loom's cell watches who uses it")]
    // SAFETY: as above.
    unsafe impl Send for Word {}

    impl Word {
        pub(crate) fn load(&self, _: Ordering) -> u64 {
            #[expect(unsafe_code, reason = "loom's cell watches who uses it")]
            self.0.with(|word| {
                // SAFETY: loom has just checked that nobody changes it.
                unsafe { *word }
            })
        }

        pub(crate) fn store(&self, value: u64, _: Ordering) {
            #[expect(unsafe_code, reason = "loom's cell watches who uses it")]
            self.0.with_mut(|word| {
                // SAFETY: loom has just checked that nobody else uses it.
                unsafe { *word = value }
            });
        }
    }

    /// The value, its tail, and the chunks after it.
    pub(crate) struct Shared<T>(Arc<(T, Vec<Word>, Vec<Vec<Word>>)>);

    fn words(count: usize) -> Vec<Word> {
        (0..count).map(|_| Word(UnsafeCell::new(0))).collect()
    }

    #[allow(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the library's shape"
    )]
    impl<T> Shared<T> {
        pub(crate) fn new(value: T) -> Result<Self, crate::error::Error> {
            Self::sparse(value, 0)
        }

        pub(crate) fn sparse(
            value: T,
            tail: usize,
        ) -> Result<Self, crate::error::Error> {
            let chunks = if tail == 0 { 0 } else { CHUNKS };
            let chunks = (0..chunks).map(|_| words(CHUNK_WORDS)).collect();
            Ok(Self(Arc::new((value, words(tail / 8), chunks))))
        }

        pub(crate) fn tail(&self) -> &[Word] {
            &self.0.1
        }

        pub(crate) fn take_space(
            &self,
            _: Range<usize>,
        ) -> Result<(), crate::error::Error> {
            Ok(())
        }

        pub(crate) fn take_chunks(
            &self,
            _: Range<usize>,
        ) -> Result<(), crate::error::Error> {
            Ok(())
        }

        pub(crate) fn give_chunks_back(&self, _: Range<usize>) {}

        pub(crate) fn chunk(
            &self,
            index: usize,
        ) -> Result<&[Word], crate::error::Error> {
            Ok(&self.0.2[index])
        }
    }

    impl<T> Clone for Shared<T> {
        fn clone(&self) -> Self {
            Self(Arc::clone(&self.0))
        }
    }

    impl<T> Deref for Shared<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0.0
        }
    }

    impl<T> fmt::Debug for Shared<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Shared")
        }
    }
}

/// Copies of bytes, word by word.
pub(crate) mod words {
    use super::atomic::{AtomicU64, Ordering};
    use super::segment::Word;

    const WORD: usize = size_of::<u64>();

    /// In the library both are one type.
    pub(crate) trait AnyWord {
        fn load(&self, ordering: Ordering) -> u64;
        fn store(&self, value: u64, ordering: Ordering);
    }

    macro_rules! any_word {
        ($name:ident) => {
            impl AnyWord for $name {
                fn load(&self, ordering: Ordering) -> u64 {
                    self.load(ordering)
                }

                fn store(&self, value: u64, ordering: Ordering) {
                    self.store(value, ordering);
                }
            }
        };
    }

    any_word!(Word);
    any_word!(AtomicU64);

    pub(crate) fn write(words: &[impl AnyWord], bytes: &[u8]) {
        for (word, bytes) in words.iter().zip(bytes.chunks(WORD)) {
            let mut padded = [0; WORD];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(padded), Ordering::Relaxed);
        }
    }

    pub(crate) fn read(words: &[impl AnyWord], length: usize, bytes: &mut Vec<u8>) {
        for (word, start) in words.iter().zip((0..length).step_by(WORD)) {
            let word = word.load(Ordering::Relaxed).to_ne_bytes();
            bytes.extend_from_slice(&word[..WORD.min(length - start)]);
        }
    }
}

/// Few and small pieces, so that a handful of messages crosses from one to the next,
/// and comes round to the first.
pub(crate) mod chunk {
    pub(crate) const CHUNK_WORDS: usize = 4;
    pub(crate) const CHUNKS: usize = 4;
    pub(crate) const FIRST: usize = 1;
    pub(crate) const FURTHER: usize = 1;
    pub(crate) const ROUND: usize = 2;
    pub(crate) const KEPT: std::time::Duration = std::time::Duration::ZERO;
    pub(crate) const LATEST_WORDS: usize = 2;
}
