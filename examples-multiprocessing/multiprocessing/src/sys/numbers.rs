//! Plain numbers in shared memory: under a lock as a slice, without one as atomics.
#![allow(unsafe_code, reason = "looks at shared memory as numbers")]

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::slice;
use std::sync::atomic::{
    AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use std::sync::{Arc, Mutex, Weak};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::segment::{Shareable, Shared, shareable};
use crate::error::Error;
use crate::handover::as_kind;
use crate::poison::lock_unpoisoned;
use crate::registry;
use crate::wait::{Acquired, RawGuard, RawLock};

/// What [`Value`](crate::Value) and [`RawArray`](crate::RawArray) hold: the [`Number`]s and
/// `bool`.
///
/// ```
/// use multiprocessing::Value;
///
/// # fn main() -> multiprocessing::Result<()> {
/// let done = Value::new(false)?;
/// *done.lock() = true;
/// assert!(done.get());
/// # Ok(())
/// # }
/// ```
pub trait Scalar: sealed::Plain + Copy + Default + fmt::Debug {}

/// What an [`Array`](crate::Array) holds: the integers of up to 64 bits and the floats, as
/// with Python's [type codes](https://docs.python.org/3/library/array.html). As there,
/// `bool` is not among them.
///
/// ```
/// fn zero<T: multiprocessing::Number>() -> T {
///     T::default()
/// }
/// assert_eq!(zero::<f64>(), 0.0);
/// ```
pub trait Number: Scalar {}

mod sealed {
    /// # Safety
    ///
    /// It is as large as its atomic and no more strictly aligned, and what `store` writes
    /// there are its bits. If `ANY_BITS`, every bit pattern is a value.
    pub unsafe trait Plain: Send + Sync + 'static {
        const ANY_BITS: bool;
        type Atomic: super::Shareable + std::fmt::Debug;
        fn load(atomic: &Self::Atomic) -> Self;
        fn store(self, atomic: &Self::Atomic);
    }
}
use sealed::Plain;

macro_rules! scalar {
    ($any_bits:literal; $($scalar:ty: $atomic:ty, $to:expr, $from:expr;)*) => { $(
        // SAFETY: a primitive type, next to the atomic of its size.
        unsafe impl Plain for $scalar {
            const ANY_BITS: bool = $any_bits;
            type Atomic = $atomic;
            #[inline]
            fn load(atomic: &$atomic) -> Self {
                $from(atomic.load(Ordering::Relaxed))
            }
            #[inline]
            fn store(self, atomic: &$atomic) {
                atomic.store($to(self), Ordering::Relaxed);
            }
        }
        impl Scalar for $scalar {}
    )* };
}
// Any byte but 0 is true: another process may have written it.
scalar! {
    false;
    bool: AtomicU8, u8::from, |byte| byte != 0_u8;
}

macro_rules! number {
    ($($number:ty: $atomic:ty, $to:expr, $from:expr;)*) => { $(
        scalar! { true; $number: $atomic, $to, $from; }
        impl Number for $number {}
    )* };
}
number! {
    u8: AtomicU8, u8::from, u8::from;
    i8: AtomicU8, i8::cast_unsigned, u8::cast_signed;
    u16: AtomicU16, u16::from, u16::from;
    i16: AtomicU16, i16::cast_unsigned, u16::cast_signed;
    u32: AtomicU32, u32::from, u32::from;
    i32: AtomicU32, i32::cast_unsigned, u32::cast_signed;
    u64: AtomicU64, u64::from, u64::from;
    i64: AtomicU64, i64::cast_unsigned, u64::cast_signed;
    usize: AtomicUsize, usize::from, usize::from;
    isize: AtomicUsize, isize::cast_unsigned, usize::cast_signed;
    f32: AtomicU32, f32::to_bits, f32::from_bits;
    f64: AtomicU64, f64::to_bits, f64::from_bits;
}

/// A number that processes share without a lock.
///
/// A number is read and written whole. But `slot.set(slot.get() + 1)` is two steps, and
/// what another process writes in between is lost, as in Python.
///
/// ```
/// use multiprocessing::RawArray;
///
/// # fn main() -> Result<(), multiprocessing::Error> {
/// let a = RawArray::new([1.5, 2.5])?;
/// a[0].set(a[1].get());
/// assert_eq!(a[0].get(), 2.5);
/// # Ok(())
/// # }
/// ```
#[repr(transparent)]
pub struct Slot<T: Scalar>(T::Atomic);

// SAFETY: nothing but an atomic that is shareable.
unsafe impl<T: Scalar> Shareable for Slot<T> {}

impl<T: Scalar> Slot<T> {
    /// The number.
    #[must_use]
    #[inline]
    pub fn get(&self) -> T {
        T::load(&self.0)
    }

    /// Puts another number there.
    #[inline]
    pub fn set(&self, number: T) {
        number.store(&self.0);
    }
}

impl<T: Scalar> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl<T: Scalar + fmt::Display> fmt::Display for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.get(), f)
    }
}

shareable! {
    struct Header {
        lock: RawLock,
        /// The number of numbers that follow. Never changes.
        len: AtomicU64,
    }
}

/// Numbers in shared memory after a lock, which stays unused if they are not `LOCKED`.
#[derive(Clone)]
pub(crate) struct Numbers<T, const LOCKED: bool> {
    header: Shared<Header>,
    /// Checked against the length of the memory when this handle was made.
    len: usize,
    /// Keeps the lock among the known ones.
    _known: Option<Arc<Known>>,
    of: PhantomData<T>,
}

impl<T: Scalar, const LOCKED: bool> Numbers<T, LOCKED> {
    /// This number of zeroes.
    pub(crate) fn zeroed(len: usize) -> Result<Self, Error> {
        registry::ensure_registry()?;
        let header = Header {
            lock: RawLock::new(),
            len: AtomicU64::new(len as u64),
        };
        let header = Shared::with_tail(header, len.saturating_mul(size_of::<T>()))?;
        Ok(Self {
            _known: know(&header, LOCKED),
            header,
            len,
            of: PhantomData,
        })
    }

    /// These numbers.
    pub(crate) fn new(numbers: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let numbers: Vec<T> = numbers.into_iter().collect();
        let new = Self::zeroed(numbers.len())?;
        // With small pages it is as good, only slower.
        new.header.prepare_to_fill().ok();
        for (slot, number) in new.memory().iter().zip(numbers) {
            slot.set(number);
        }
        Ok(new)
    }

    #[inline]
    fn memory(&self) -> &[Slot<T>] {
        &self.header.tail_of()[..self.len]
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl<T: Scalar> Numbers<T, false> {
    /// The numbers, which have no lock.
    #[inline]
    pub(crate) fn slots(&self) -> &[Slot<T>] {
        self.memory()
    }
}

impl<T: Scalar> Numbers<T, true> {
    /// Takes the lock.
    #[inline]
    pub(crate) fn lock(&self) -> NumbersGuard<'_, T> {
        let guard = NumbersGuard {
            numbers: self,
            lock: self.header.lock.lock(),
        };
        if !T::ANY_BITS {
            // Another process may have written other bits.
            self.memory().iter().for_each(|slot| slot.set(slot.get()));
        }
        guard
    }
}

impl<T, const LOCKED: bool> Serialize for Numbers<T, LOCKED> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_kind(type_name::<T>(), || self.header.serialize(serializer))
    }
}

impl<'de, T: Scalar, const LOCKED: bool> Deserialize<'de> for Numbers<T, LOCKED> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let header = as_kind(type_name::<T>(), || {
            Shared::<Header>::deserialize(deserializer)
        })?;
        let len = usize::try_from(header.len.load(Ordering::Relaxed));
        let len = len.map_err(D::Error::custom)?;
        if len > header.tail_of::<Slot<T>>().len() {
            return Err(D::Error::custom("the array is longer than its memory"));
        }
        Ok(Self {
            _known: know(&header, LOCKED),
            header,
            len,
            of: PhantomData,
        })
    }
}

/// Numbers under their lock, a slice as any other.
///
/// Only this guard can release the lock: that makes the slice its own. A fork would make
/// two of it, and is refused while it lives.
pub(crate) struct NumbersGuard<'a, T> {
    numbers: &'a Numbers<T, true>,
    lock: RawGuard<'a>,
}

/// The numbers with a lock that this process has. Before a fork their locks show whether
/// a guard lives. A count of the guards would make taking a lock half as slow again.
static KNOWN: Mutex<Vec<Weak<Known>>> = Mutex::new(Vec::new());

struct Known(Shared<Header>);

/// Adds numbers with a lock to the [`KNOWN`], until all handles are gone.
fn know(header: &Shared<Header>, locked: bool) -> Option<Arc<Known>> {
    let known = locked.then(|| Arc::new(Known(header.clone())))?;
    let mut all = lock_unpoisoned(&KNOWN);
    if all.len() == all.capacity() {
        all.retain(|known| known.strong_count() > 0);
    }
    all.push(Arc::downgrade(&known));
    Some(known)
}

/// Whether this process has a guard, which may have been leaked.
pub(super) fn locked() -> bool {
    let all = lock_unpoisoned(&KNOWN);
    all.iter()
        .filter_map(Weak::upgrade)
        .any(|known| known.0.lock.is_mine())
}

impl<T: Scalar> NumbersGuard<'_, T> {
    pub(crate) fn predecessor_died(&self) -> bool {
        self.lock.acquired == Acquired::PredecessorDied
    }
}

impl<T: Scalar> Deref for NumbersGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        let slots = self.numbers.memory();
        // SAFETY: a scalar is as large as its slot, in which there are the bits of one:
        // `lock` has seen to that. The lock is held, and all who use locked numbers, here
        // or in another process, hold it.
        unsafe { slice::from_raw_parts(slots.as_ptr().cast(), slots.len()) }
    }
}

impl<T: Scalar> DerefMut for NumbersGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        let slots = self.numbers.memory();
        // SAFETY: as in `deref`; and a slot is an atomic, which may be written to
        // through a shared reference.
        unsafe {
            slice::from_raw_parts_mut(slots.as_ptr().cast_mut().cast(), slots.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes of the mapping in which this address lies have large pages.
    fn in_large_pages(address: usize) -> usize {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| {
            let range = line
                .split(' ')
                .next()
                .and_then(|range| range.split_once('-'));
            let bound = |text| usize::from_str_radix(text, 16);
            !range.is_some_and(|(start, end)| match (bound(start), bound(end)) {
                (Ok(start), Ok(end)) => (start..end).contains(&address),
                _ => false,
            })
        });
        let field = lines.find_map(|line| line.strip_prefix("ShmemPmdMapped:"));
        let kib = field
            .and_then(|field| field.trim().strip_suffix(" kB"))
            .unwrap();
        kib.parse::<usize>().unwrap() << 10
    }

    #[test]
    fn many_numbers_lie_in_large_pages_where_the_system_makes_them() {
        const LEN: usize = 4 << 20;
        let zeroes = Numbers::<u64, false>::zeroed(LEN).unwrap();
        let address = zeroes.memory().as_ptr().addr();
        // The header is written, and the machine's setting may give it a large page.
        assert!(
            in_large_pages(address) <= 1 << 21,
            "before they are written"
        );
        let start = std::ptr::from_ref(&*zeroes.header).addr();
        assert!(start.is_multiple_of(1 << 21), "{start:x}");
        if zeroes.header.prepare_to_fill().is_err() {
            println!("The system makes no large pages here.");
            return;
        }
        // So that the next ones find as many free.
        drop(zeroes);
        let numbers = Numbers::<u64, false>::new(0..LEN as u64).unwrap();
        assert!((0..).zip(numbers.memory()).all(|(n, slot)| slot.get() == n));
        let address = numbers.memory().as_ptr().addr();
        assert_eq!(in_large_pages(address), size_of::<u64>() * LEN);
    }

    #[test]
    fn a_guard_is_known_of_even_if_its_thread_leaked_it() {
        let numbers: &'static _ =
            Box::leak(Box::new(Numbers::<u8, true>::new([1]).unwrap()));
        assert!(!locked());
        std::thread::spawn(|| {
            drop(numbers.lock());
            assert!(!locked());
            std::mem::forget(numbers.lock());
            assert!(locked());
        })
        .join()
        .unwrap();
        assert!(locked());
    }

    #[test]
    fn whatever_another_process_writes_is_a_bool() {
        let (raw, locked) = (
            Numbers::<bool, false>::new([false]).unwrap(),
            Numbers::<bool, true>::new([false]).unwrap(),
        );
        // A `bool` that has the byte's own bits would give 0xFE here.
        let is_one =
            |value: bool| assert_eq!(u8::from(std::hint::black_box(value)), 1);
        let byte = &raw.slots()[0].0;
        byte.store(0xFE, Ordering::Relaxed);
        is_one(raw.slots()[0].get());
        let byte = &locked.memory()[0].0;
        byte.store(0xFE, Ordering::Relaxed);
        let mut guard = locked.lock();
        is_one(guard[0]);
        guard[0] = false;
        drop(guard);
        assert_eq!(byte.load(Ordering::Relaxed), 0);
    }
}
