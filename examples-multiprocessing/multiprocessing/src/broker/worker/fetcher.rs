//! The thread that takes tasks from the broker.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Phase, Worker, join};
use crate::broker::answer;
use crate::broker::link::{self, Link};

/// How long the fetcher waits at the broker for a task before it asks again. A connection
/// that has died silently is noticed some seconds after this.
const BLOCK: Duration = Duration::from_secs(5);

impl Worker {
    pub(super) fn fetch(&self) {
        let mut link = self.address.link();
        let mut recover = false;
        while let Some(room) = self.wait_for_room() {
            match self.fetch_some(&mut link, room, recover) {
                Ok(entries) => {
                    recover = false;
                    for (entry, fields) in entries {
                        self.begin(&mut link, entry, fields);
                    }
                }
                Err(error) if link::is_no_group(&error) => {
                    // The group was lost when the broker was emptied, and is made
                    // again. If that fails, the next turn tries it again.
                    join(&mut link, self.lease).ok();
                    link.pause();
                }
                Err(_) => {
                    // The broker may have delivered tasks in an answer that was lost.
                    recover = true;
                    link.pause();
                }
            }
        }
    }

    /// Waits until this worker can take a task. Returns `None` once it is stopping.
    fn wait_for_room(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.phase != Phase::Serving {
                return None;
            }
            // The tasks of workers that have gone go before those that wait.
            let room = self.room(&state).saturating_sub(state.left);
            if room > 0 && self.may_run(&state) {
                return Some(room);
            }
            // The wake-up must not be lost: tasks are removed, the phase is changed and
            // a renewal is recorded under the lock, before the notice, and this thread
            // holds the lock from its check until it sleeps.
            state = self
                .has_room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn fetch_some(
        &self,
        link: &mut Link,
        room: usize,
        recover: bool,
    ) -> redis::RedisResult<Vec<(String, Vec<Vec<u8>>)>> {
        self.fetcher.store(link.id()?, Ordering::Release);
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg("workers").arg(&self.id);
        let wait = if recover {
            // The tasks that this worker owns already.
            read.arg("STREAMS").arg(self.address.key("tasks")).arg("0");
            Duration::ZERO
        } else {
            read.arg("COUNT").arg(room);
            read.arg("BLOCK").arg(BLOCK.as_millis() as u64);
            read.arg("STREAMS").arg(self.address.key("tasks")).arg(">");
            BLOCK
        };
        let mut entries = answer::entries_read(link.call_blocking(&read, wait)?);
        // Entries that were deleted since have no fields; the next claim removes them.
        entries.retain(|(_, fields)| !fields.is_empty());
        Ok(entries)
    }

    pub(super) fn wake_the_fetcher(&self) {
        let id = self.fetcher.load(Ordering::Acquire);
        if id != 0 {
            let mut unblock = redis::cmd("CLIENT");
            unblock.arg("UNBLOCK").arg(id);
            // If this fails, the fetcher sees the new phase after its wait.
            self.address.link().call(&unblock).ok();
        }
    }
}
