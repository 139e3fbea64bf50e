//! The thread that receives outcomes from the broker, and a caller that does so itself.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Activity, CHECKED, Client, Outcome, Outcomes, Untrimmed};
use crate::TaskError;
use crate::broker::answer;
use crate::broker::link::Link;
use crate::broker::wire;
use crate::poison::{lock_unpoisoned, try_lock_unpoisoned};

/// How long the receiver waits for an outcome before it does its other work.
const BLOCK: Duration = Duration::from_secs(1);
/// The time between two checks that the broker still has the tasks.
const CHECK: Duration = Duration::from_secs(1);
/// The number of outcomes, and of their bytes, after which they are removed from the
/// stream. They are also removed after a second without an outcome.
const TRIM: usize = 256;
const TRIM_BYTES: usize = 1 << 20;

/// What the thread that receives needs.
pub(super) struct Receiving {
    pub(super) link: Link,
    /// The last entry of the stream of outcomes that was read.
    pub(super) last: String,
    /// When the broker was last asked whether it still has the tasks.
    pub(super) checked: Instant,
    /// The number of the task with which the next check begins.
    pub(super) cursor: u64,
}

/// What the receiver does next.
enum Next {
    Receive,
    Trim,
}

impl Client {
    /// Receives outcomes in the calling thread until `done`, if no other thread receives.
    /// This saves a switch to the receiver.
    pub(crate) fn receive_until(
        &self,
        outcomes: &impl Outcomes,
        done: impl Fn() -> bool,
    ) {
        // Otherwise, the thread that has it looks for open tasks when it is done, and finds
        // the caller's.
        if let Some(mut receiving) = try_lock_unpoisoned(&self.receiving) {
            self.lock().waiter_receives = true;
            while !done() && self.receive(&mut receiving, outcomes) {}
            // While this thread still holds `receiving`, no other has set it.
            self.lock().waiter_receives = false;
            drop(receiving);
        }
        let shared = self.lock();
        let trims =
            shared.untrimmed.outcomes > 0 && shared.receiver == Activity::Asleep;
        if shared.has_open() || trims {
            self.wake_receiver(&shared);
        }
    }

    pub(super) fn receive_all(&self, outcomes: &impl Outcomes) {
        let mut found_any = false;
        while let Some(next) = self.wait_for_open(found_any) {
            let mut receiving = lock_unpoisoned(&self.receiving);
            let before = receiving.last.clone();
            let wanted = match next {
                Next::Receive => self.receive(&mut receiving, outcomes),
                Next::Trim => {
                    self.trim(&mut receiving);
                    true
                }
            };
            if !wanted {
                return;
            }
            found_any = receiving.last != before;
        }
    }

    /// Waits until the receiver has something to do. Returns `None` at the end.
    fn wait_for_open(&self, found_any: bool) -> Option<Next> {
        let mut shared = self.lock();
        // A caller that submits one task after the other need not wake the receiver each
        // time: it only sleeps after a read that found nothing, or if the caller receives
        // itself.
        if found_any && !shared.last_is_awaited && !shared.ended {
            return Some(Next::Receive);
        }
        loop {
            if shared.ended {
                return None;
            }
            if shared.has_open() && !shared.waiter_receives {
                return Some(Next::Receive);
            }
            // The wake-up must not be lost: tasks are added, and the end is set, under the
            // lock, a thread that receives for its own task looks for open tasks
            // afterwards, and `receiver` is set under the lock before this sleeps.
            let timed_out;
            if shared.untrimmed.outcomes == 0 {
                shared.receiver = Activity::Asleep;
                let waited = self.opened.wait(shared);
                shared = waited.unwrap_or_else(PoisonError::into_inner);
                timed_out = false;
            } else {
                shared.receiver = Activity::AsleepUntilTrim;
                let waited = self.opened.wait_timeout(shared, BLOCK);
                let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                (shared, timed_out) = (guard, waited.timed_out());
            }
            shared.receiver = Activity::Busy;
            if timed_out && !shared.has_open() && !shared.ended {
                return Some(Next::Trim);
            }
        }
    }

    /// Receives outcomes once, waiting up to [`BLOCK`], and does the work that is due
    /// between. Returns whether outcomes are still wanted.
    fn receive(&self, receiving: &mut Receiving, outcomes: &impl Outcomes) -> bool {
        if self.has_ended() {
            return false;
        }
        let Ok(read) = self.read(receiving, BLOCK) else {
            receiving.link.pause();
            return true;
        };
        let was_empty = read.is_empty();
        if !was_empty && !outcomes.deliver(read) {
            return false;
        }
        let is_due = {
            let Untrimmed { outcomes, bytes } = self.lock().untrimmed;
            outcomes >= TRIM || bytes >= TRIM_BYTES || was_empty && outcomes > 0
        };
        if is_due {
            self.trim(receiving);
        }
        if receiving.checked.elapsed() >= CHECK {
            let mut found = Vec::new();
            let looked = self.find_missing(receiving, &mut found);
            // After an error, too: what was read is open no longer, and comes only once.
            let goes_on = outcomes.deliver(found);
            self.watch_again(&mut receiving.link);
            if looked.is_ok() {
                receiving.checked = Instant::now();
            }
            return goes_on;
        }
        true
    }

    /// Removes from the stream the outcomes that were read.
    fn trim(&self, receiving: &mut Receiving) {
        let mut trim = redis::cmd("XTRIM");
        trim.arg(self.done_key()).arg("MINID").arg(&receiving.last);
        // If this fails, they are removed with later ones.
        if receiving.link.call(&trim).is_ok() {
            self.lock().untrimmed = Untrimmed::default();
        }
    }

    /// Reads the outcomes after the last entry that was read, waiting up to `wait`.
    fn read(
        &self,
        receiving: &mut Receiving,
        wait: Duration,
    ) -> redis::RedisResult<Vec<Outcome>> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(1000);
        if !wait.is_zero() {
            read.arg("BLOCK").arg(wait.as_millis() as u64);
        }
        read.arg("STREAMS")
            .arg(self.done_key())
            .arg(&receiving.last);
        let entries = receiving.link.call_blocking(&read, wait)?;
        let entries = answer::entries_read(entries);
        let mut shared = self.lock();
        let mut found = Vec::new();
        for (entry, fields) in entries {
            receiving.last = entry;
            for pair in fields.chunks_exact(4) {
                let [_, id, _, outcome] = pair else { continue };
                shared.untrimmed.outcomes += 1;
                shared.untrimmed.bytes += outcome.len();
                let id = String::from_utf8_lossy(id);
                let own = (wire::client_of(&id) == self.id)
                    .then(|| id.rsplit_once('-')?.1.parse::<u64>().ok())
                    .flatten();
                // A task that is not open has ended: it was cancelled, or its outcome
                // came twice.
                let mut tokens = shared.watched.remove(&*id).unwrap_or_default();
                let open = own.and_then(|number| shared.open.remove(&number));
                tokens.extend(open.map(|open| open.token));
                for token in tokens {
                    found.push((token, Some(wire::read_outcome(outcome))));
                }
            }
        }
        Ok(found)
    }

    /// Asks once more for the outcomes of other senders' tasks: the broker may have been
    /// emptied.
    fn watch_again(&self, link: &mut Link) {
        let watched: Vec<_> = self.lock().watched.keys().cloned().collect();
        for id in watched {
            let args = [self.id.clone(), id];
            // If this fails, the next check asks again.
            link.run(|s| &s.watch, &self.keys(), &args).ok();
        }
    }

    /// Finds the tasks that the broker has lost: it has neither the task nor its outcome.
    /// Adds their outcomes to `found`, and those that were read meanwhile.
    fn find_missing(
        &self,
        receiving: &mut Receiving,
        found: &mut Vec<Outcome>,
    ) -> redis::RedisResult<()> {
        // Each check asks about the next tasks in turn. Once one is missing, it goes on
        // through all that follow.
        loop {
            let piece: Vec<(u64, String)> = {
                let shared = self.lock();
                let open = shared.open.range(receiving.cursor..);
                let known =
                    open.filter_map(|(n, open)| Some((*n, open.entry.clone()?)));
                known.take(CHECKED).collect()
            };
            receiving.cursor = match piece.last() {
                Some((number, _)) if piece.len() == CHECKED => number + 1,
                _ => 0,
            };
            let entries: Vec<_> = piece.iter().map(|(_, entry)| entry).collect();
            let there = receiving.link.run(|s| &s.check, &self.keys(), &entries)?;
            let there = answer::numbers(there);
            let missing = piece.iter().zip(there).filter(|(_, there)| *there == 0);
            let missing: Vec<u64> =
                missing.map(|((number, _), _)| *number).collect();
            if missing.is_empty() {
                return Ok(());
            }
            // A missing task may just have ended: the broker removes a task and adds its
            // outcome in one step. So the outcomes that have come are read first.
            loop {
                let read = self.read(receiving, Duration::ZERO)?;
                if read.is_empty() {
                    break;
                }
                found.extend(read);
            }
            let mut shared = self.lock();
            for number in missing {
                if let Some(open) = shared.open.remove(&number) {
                    found.push((open.token, Some(Err(TaskError::Forgotten))));
                }
            }
            if receiving.cursor == 0 {
                return Ok(());
            }
        }
    }
}
