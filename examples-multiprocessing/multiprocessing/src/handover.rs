//! Handing descriptors to a spawned process along with its serialised argument.
//!
//! A handle (a lock, a queue, a pipe's end) is shared memory or a pipe, which a descriptor
//! stands for. It serialises as the position of that descriptor in a list that travels
//! beside the bytes. The spawning side:
//!
//! ```text
//! let (bytes, fds) = handover::collect(|| postcard::to_stdvec(&argument));
//! // fds: Vec<OwnedFd>, duplicates, close-on-exec; after the fork, and before the
//! // exec, the child places them where the fresh program expects them.
//! ```
//!
//! The fresh program, once, at the top of `main`:
//!
//! ```text
//! registry::join_registry(registry_fd)?;       // see there: never duplicate that one
//! let argument = handover::receive(fds, || postcard::from_bytes(&bytes));
//! ```
//!
//! A handle's `Serialize` calls [`give`] and serialises the position, its
//! `Deserialize` reads the position and calls [`take`]. Outside of the two scopes
//! both are refused with a sentence: a lock written into a file or a message would
//! name a descriptor that the reader does not have.

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

thread_local! {
    /// The descriptors of the argument that this thread is serialising.
    static GIVEN: RefCell<Option<Vec<OwnedFd>>> = const { RefCell::new(None) };
    /// The descriptors of the argument that this thread is deserialising; each can
    /// be taken once.
    static RECEIVED: RefCell<Option<Vec<Option<OwnedFd>>>> =
        const { RefCell::new(None) };
}

/// Runs `serialise` and collects the descriptors of the handles it meets.
pub(crate) fn collect<R>(serialise: impl FnOnce() -> R) -> (R, Vec<OwnedFd>) {
    let outer = GIVEN.replace(Some(Vec::new()));
    let result = serialise();
    let given = GIVEN.replace(outer).unwrap_or_default();
    (result, given)
}

/// Runs `deserialise` so that the handles it meets find these descriptors. Those that
/// are not taken are closed.
pub(crate) fn receive<R>(fds: Vec<OwnedFd>, deserialise: impl FnOnce() -> R) -> R {
    let fds = fds.into_iter().map(Some).collect();
    let outer = RECEIVED.replace(Some(fds));
    let result = deserialise();
    RECEIVED.replace(outer);
    result
}

/// Serialises a descriptor: for a handle's `Serialize`, alone or as
/// `#[serde(serialize_with)]`.
pub(crate) fn give<S: Serializer>(
    fd: BorrowedFd<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let position = GIVEN.with_borrow_mut(|given| {
        let Some(given) = given else {
            return Err(S::Error::custom(
                "a lock, queue or pipe can only be sent as the argument of a \
                 process that is being spawned",
            ));
        };
        given.push(fd.try_clone_to_owned().map_err(S::Error::custom)?);
        Ok(given.len() - 1)
    })?;
    position.serialize(serializer)
}

/// Deserialises a descriptor: for a handle's `Deserialize`.
pub(crate) fn take<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<OwnedFd, D::Error> {
    let position = usize::deserialize(deserializer)?;
    RECEIVED
        .with_borrow_mut(|received| received.as_mut()?.get_mut(position)?.take())
        .ok_or_else(|| {
            D::Error::custom(
                "a lock, queue or pipe can only be received as the argument that a \
                 spawned process starts with",
            )
        })
}

/// A descriptor as part of a handle that has more: it serialises by [`give`].
pub(crate) struct Given<'a>(pub(crate) BorrowedFd<'a>);

impl Serialize for Given<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        give(self.0, serializer)
    }
}

/// A [`Given`] at the other side: it deserialises by [`take`].
pub(crate) struct Taken(pub(crate) OwnedFd);

impl<'de> Deserialize<'de> for Taken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer).map(Self)
    }
}
