//! What the machine itself takes, measured beside the contenders: bare system calls,
//! the C library's mutex, and a ring and a word in shared memory.
#![allow(unsafe_code, reason = "the bare calls are what is measured")]

use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::fs::File;
use std::hint;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Gives freed memory back to the system: a fork copies the page tables of what earlier
/// measurements have left, too.
pub(crate) fn trim_memory() {
    // SAFETY: it takes a number, and touches only what the allocator knows to be free.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Forks `count` processes that end at once, side by side, and waits for all of them.
///
/// # Errors
///
/// The system's refusal.
///
/// ```
/// bench::sys::bare_forks(2)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn bare_forks(count: usize) -> io::Result<()> {
    let mut children = Vec::with_capacity(count);
    for _ in 0..count {
        // SAFETY: the child calls nothing but `_exit`.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: it ends this process and touches nothing.
            unsafe { libc::_exit(0) };
        }
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        children.push(pid);
    }
    for pid in children {
        // SAFETY: a null pointer says that the status is not wanted.
        if unsafe { libc::waitpid(pid, ptr::null_mut(), 0) } != pid {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Makes a block of shared memory with a name, maps it, and removes it again.
///
/// # Errors
///
/// The system's refusal.
pub fn bare_block(name: &CStr, size: usize) -> io::Result<()> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    // SAFETY: the name is a C string.
    let descriptor = unsafe { libc::shm_open(name.as_ptr(), flags, 0o600) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was opened above and has no other owner.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    file.set_len(size as u64)?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, at an address that the system chooses.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size,
            access,
            libc::MAP_SHARED,
            descriptor,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was mapped above, and nothing refers to it.
    unsafe { libc::munmap(address, size) };
    // SAFETY: the name is a C string.
    unsafe { libc::shm_unlink(name.as_ptr()) };
    Ok(())
}

/// A value in memory that a forked process shares.
struct Shared<T>(NonNull<T>);

// SAFETY: it is a reference to a `T` that stays where it is.
unsafe impl<T: Sync> Sync for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Send for Shared<T> {}

impl<T> Shared<T> {
    fn new(value: T) -> io::Result<Self> {
        // SAFETY: a new mapping, at an address that the system chooses.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let place = NonNull::new(address.cast::<T>()).ok_or(io::ErrorKind::Other)?;
        // SAFETY: the mapping is as large as a `T`, aligned to a page, and ours alone.
        unsafe { place.write(value) };
        Ok(Self(place))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: it was written when the mapping was made, which lasts as long as
        // `self`.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is of this size, and this was its only owner here.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}

/// The C library's mutex between processes, and a number under it.
pub struct PthreadMutex(Shared<Inner>);

struct Inner {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    number: UnsafeCell<u64>,
}

// SAFETY: the number is touched under the mutex only, which is made for sharing.
unsafe impl Sync for Inner {}

impl PthreadMutex {
    /// With a zero. A robust one reports that its holder has died.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub fn new(robust: bool) -> io::Result<Self> {
        let inner = Shared::new(Inner {
            mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            number: UnsafeCell::new(0),
        })?;
        let mut attributes = MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the pointer is to space for the attributes.
        unsafe { libc::pthread_mutexattr_init(attributes) };
        let shared = libc::PTHREAD_PROCESS_SHARED;
        // SAFETY: they were initialised.
        unsafe { libc::pthread_mutexattr_setpshared(attributes, shared) };
        if robust {
            let robust = libc::PTHREAD_MUTEX_ROBUST;
            // SAFETY: as above.
            unsafe { libc::pthread_mutexattr_setrobust(attributes, robust) };
        }
        // SAFETY: the mutex is not in use yet.
        let made =
            unsafe { libc::pthread_mutex_init(inner.mutex.get(), attributes) };
        if made != 0 {
            return Err(io::Error::from_raw_os_error(made));
        }
        Ok(Self(inner))
    }

    /// Runs `work` with the number while the mutex is held.
    #[inline]
    pub fn hold<R>(&self, work: impl FnOnce(&mut u64) -> R) -> R {
        // SAFETY: it was initialised and does not move.
        unsafe { libc::pthread_mutex_lock(self.0.mutex.get()) };
        // SAFETY: only the holder of the mutex has the number, and this thread holds it.
        let result = work(unsafe { &mut *self.0.number.get() });
        // SAFETY: this thread holds it.
        unsafe { libc::pthread_mutex_unlock(self.0.mutex.get()) };
        result
    }
}

/// How a side waits for a word in shared memory to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It looks again and again, which needs a core for each side.
    Spin,
    /// It sleeps, by a futex.
    Sleep,
    /// It looks for up to a millisecond, then sleeps.
    SpinThenSleep,
}

/// How often a side looks before it sleeps: for longer than a wake-up takes.
const LOOKS: u32 = 20_000;

/// A word that two processes change in turn.
pub struct PingPong(Shared<AtomicU32>);

impl PingPong {
    /// At zero.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Shared::new(AtomicU32::new(0))?))
    }

    /// Waits until the word has this value.
    pub fn wait_for(&self, expected: u32, wait: Wait) {
        let mut looks = 0_u32;
        loop {
            let value = self.0.load(Ordering::Acquire);
            if value == expected {
                return;
            }
            match wait {
                Wait::Spin => hint::spin_loop(),
                Wait::SpinThenSleep if looks < LOOKS => {
                    looks += 1;
                    hint::spin_loop();
                }
                // It returns at once if the word has changed since it was loaded.
                Wait::Sleep | Wait::SpinThenSleep => {
                    self.futex(libc::FUTEX_WAIT, value);
                }
            }
        }
    }

    /// Gives the word this value. `other` says how the other side waits for it.
    pub fn put(&self, value: u32, other: Wait) {
        self.0.store(value, Ordering::Release);
        if other != Wait::Spin {
            self.futex(libc::FUTEX_WAKE, 1);
        }
    }

    fn futex(&self, operation: libc::c_int, value: u32) {
        let no_timeout = ptr::null::<libc::timespec>();
        // SAFETY: the word exists as long as `self`.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.0.as_ptr(),
                operation,
                value,
                no_timeout,
            )
        };
    }
}

/// A ring of messages of 64 bytes from one producer to one consumer, both of which
/// spin.
pub struct Ring(Shared<Buffer>);

const SLOTS: u64 = 256;

/// A message.
pub type Message = [u64; 8];

struct Buffer {
    /// How many messages were put. On a cache line of its own, like `tail`.
    head: Line,
    /// How many messages were taken.
    tail: Line,
    slots: [[AtomicU64; 8]; SLOTS as usize],
}

#[repr(align(128))]
struct Line(AtomicU64);

impl Ring {
    /// An empty ring.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Shared::new(Buffer {
            head: Line(AtomicU64::new(0)),
            tail: Line(AtomicU64::new(0)),
            slots: [const { [const { AtomicU64::new(0) }; 8] }; SLOTS as usize],
        })?))
    }

    /// Puts `count` messages.
    pub fn produce(&self, count: u64, message: &Message) {
        let (mut head, mut tail) = (self.0.head.0.load(Ordering::Relaxed), 0);
        for _ in 0..count {
            // Most of the time it is enough to know where the consumer was.
            while head.wrapping_sub(tail) >= SLOTS {
                hint::spin_loop();
                tail = self.0.tail.0.load(Ordering::Acquire);
            }
            let slot = &self.0.slots[(head % SLOTS) as usize];
            for (place, word) in slot.iter().zip(message) {
                place.store(*word, Ordering::Relaxed);
            }
            head += 1;
            self.0.head.0.store(head, Ordering::Release);
        }
    }

    /// Takes `count` messages. Returns the sum of their first words.
    #[must_use]
    pub fn consume(&self, count: u64) -> u64 {
        let (mut tail, mut head) = (self.0.tail.0.load(Ordering::Relaxed), 0);
        let mut sum = 0_u64;
        for _ in 0..count {
            while head <= tail {
                hint::spin_loop();
                head = self.0.head.0.load(Ordering::Acquire);
            }
            let slot = &self.0.slots[(tail % SLOTS) as usize];
            let message: Message =
                std::array::from_fn(|word| slot[word].load(Ordering::Relaxed));
            sum = sum.wrapping_add(hint::black_box(message)[0]);
            tail += 1;
            self.0.tail.0.store(tail, Ordering::Release);
        }
        sum
    }
}
