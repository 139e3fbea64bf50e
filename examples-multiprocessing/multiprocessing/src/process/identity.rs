//! The identity of this process: its name, its number among its relatives, its key.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::{fmt, mem};

use nix::unistd::Pid;

use crate::poison::lock_unpoisoned;
use crate::sys::random;

/// The secret by which relatives prove that they are relatives: Python's
/// [`Process.authkey`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Process.authkey).
///
/// 32 random bytes, made by the first process and inherited by all its descendants. Its `Debug` does not show them.
///
/// ```
/// use multiprocessing::{AuthKey, Process, current_process};
///
/// let key = current_process().authkey().clone();
/// assert_eq!(key.as_bytes().len(), 32);
/// assert_eq!(Process::new(|| ()).authkey(), &key);
/// assert_eq!(format!("{:?}", AuthKey::from(b"abc")), "AuthKey(..)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AuthKey(Arc<[u8]>);

impl AuthKey {
    /// The key itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<B: AsRef<[u8]>> From<B> for AuthKey {
    fn from(bytes: B) -> Self {
        Self(bytes.as_ref().into())
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(..)")
    }
}

/// What a process knows about itself.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) name: String,
    /// Which child of which child it is; empty for the first process.
    pub(super) numbers: Vec<u32>,
    pub(super) daemon: bool,
    pub(super) authkey: AuthKey,
    /// The process that started it; `None` for the first process.
    pub(super) parent: Option<(String, Pid)>,
    /// The number of children that it has created, started or not.
    pub(super) children: u32,
}

/// This process's own. A forked child replaces its copy of the parent's; the box makes
/// that a store of one pointer.
static IDENTITY: LazyLock<Mutex<Box<Identity>>> = LazyLock::new(|| {
    Mutex::new(Box::new(Identity {
        name: "MainProcess".into(),
        numbers: Vec::new(),
        daemon: false,
        authkey: AuthKey::from(random::bytes()),
        parent: None,
        children: 0,
    }))
});

pub(super) fn lock() -> MutexGuard<'static, Box<Identity>> {
    lock_unpoisoned(&IDENTITY)
}

impl Identity {
    /// The identity of a further child. A name that is not given is made of the
    /// numbers, and whether it is a daemon is inherited.
    pub(super) fn child(
        &mut self,
        name: Option<String>,
        daemon: Option<bool>,
    ) -> Self {
        self.children += 1;
        let mut numbers = self.numbers.clone();
        numbers.push(self.children);
        Self {
            name: name.unwrap_or_else(|| {
                let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
                format!("Process-{}", numbers.join(":"))
            }),
            numbers,
            daemon: daemon.unwrap_or(self.daemon),
            authkey: self.authkey.clone(),
            parent: None, // Known when it starts.
            children: 0,
        }
    }
}

/// Makes this process, a new child, what its parent said that it is.
#[inline]
pub(super) fn assume(identity: Box<Identity>) {
    // To free the parent's would be to copy the memory that it lies in.
    mem::forget(mem::replace(&mut *lock(), identity));
}

/// The name of this process, if this library started it.
pub(super) fn name_of_child() -> Option<String> {
    let identity = lock();
    identity.parent.is_some().then(|| identity.name.clone())
}
