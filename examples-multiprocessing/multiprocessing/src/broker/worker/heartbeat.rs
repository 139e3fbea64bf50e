//! The thread that reports that the worker lives, renews its leases and claims tasks.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Phase, State, Worker, join};
use crate::broker::BrokerError;
use crate::broker::answer;
use crate::broker::id::host;
use crate::broker::link::{self, Link};
use crate::broker::record::{Run, write_record};

/// The longest time between two heartbeats. Together with the fetcher's commands, an idle
/// worker then sends fewer than one command a second.
const LONGEST_PERIOD: Duration = Duration::from_millis(1400);
/// The largest number of running tasks that a worker names in its report about itself.
const REPORTED_RUNNING: usize = 100;
/// The largest number of leases that one script renews.
const RENEWED: usize = 200;

impl Worker {
    fn beat_period(&self) -> Duration {
        (self.lease / 4).min(LONGEST_PERIOD)
    }

    pub(super) fn beat(&self) {
        let mut link = self.address.link();
        let mut silent = false;
        let mut claim_from = String::new();
        loop {
            let asked = Instant::now();
            match self.beat_once(&mut link, &mut claim_from) {
                Ok(()) => {
                    if std::mem::take(&mut silent) {
                        self.log("answers again");
                    }
                }
                Err(error) if link::is_no_group(&error) => {
                    // If this fails, the next turn tries it again.
                    join(&mut link, self.lease).ok();
                    link.pause();
                }
                Err(error) => {
                    if !std::mem::replace(&mut silent, true) {
                        match link.explain(&error) {
                            own @ BrokerError::OutOfDescriptors { .. } => {
                                eprintln!("{own}");
                            }
                            _ => self.log(&format!("does not answer ({error})")),
                        }
                    }
                    link.pause();
                }
            }
            let state = self.lock();
            let phase = state.phase;
            if phase == Phase::Ended {
                return;
            }
            if !silent {
                let left = self.beat_period().saturating_sub(asked.elapsed());
                // The wake-ups that must not be lost are the change of the phase and the
                // removal of a task: they are made under the lock, which is held from the
                // check until the sleep.
                let rests = |state: &mut State| {
                    let may_claim = state.left > 0 && self.room(state) > 0;
                    state.phase == phase && !may_claim
                };
                drop(self.beats.wait_timeout_while(state, left, rests));
            }
        }
    }

    /// Whether this worker still owns its tasks for certain: some of their lease is left.
    pub(super) fn may_run(&self, state: &State) -> bool {
        !self.left_to_run(state).is_zero()
    }

    /// Another worker claims a task when seven eighths of its lease or more are over since
    /// the broker renewed it, which was after the renewal was sent.
    fn left_to_run(&self, state: &State) -> Duration {
        let limit = self.lease.mul_f32(0.8);
        limit.saturating_sub(state.renewed.elapsed())
    }

    /// Ends the tasks before other workers claim them, if the broker is out of reach. The
    /// thread of the heartbeat cannot do that in time, since its connection may hang.
    pub(super) fn watch_the_lease(&self) {
        let mut state = self.lock();
        while state.phase != Phase::Ended {
            // The wake-ups that must not be lost are the change of the phase and, while no
            // task may run, the renewal: they are made under the lock, which is held from
            // the check until the sleep.
            let left = self.left_to_run(&state);
            if left.is_zero() {
                let all: Vec<_> = state.running.keys().cloned().collect();
                self.lose(&mut state, &all);
                let waited = self.beats.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            } else {
                let waited = self.beats.wait_timeout(state, left);
                (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// The broker has renewed the leases, after this time.
    fn record_renewal(&self, sent: Instant) {
        let mut state = self.lock();
        if !self.may_run(&state) {
            self.beats.notify_all();
        }
        state.renewed = sent;
    }

    /// Looks at some of the tasks that may be claimed, from `claim_from` on, and writes
    /// there where the next heartbeat begins.
    fn beat_once(
        &self,
        link: &mut Link,
        claim_from: &mut String,
    ) -> redis::RedisResult<()> {
        let sent = Instant::now();
        let (entries, mut record, room) = {
            let state = self.lock();
            let running = state.running.iter().filter(|(_, r)| !r.lost);
            let entries: Vec<_> = running.map(|(entry, _)| entry.clone()).collect();
            let serving = state.phase == Phase::Serving;
            let room = serving.then(|| self.room(&state));
            (entries, self.record(&state), room)
        };
        // Less than the lease, since this is only checked at each heartbeat.
        let stale = self.lease.saturating_sub(self.beat_period() / 2);
        let stale = stale.as_millis().to_string();
        let mut left = entries.as_slice();
        loop {
            let (piece, rest) = left.split_at(left.len().min(RENEWED));
            left = rest;
            // Tasks are claimed once all of this worker's are renewed, so that none of
            // its own is claimed.
            let room = if rest.is_empty() { room } else { None };
            let mut args = vec![
                self.id.clone(),
                self.lease_millis(),
                std::mem::take(&mut record),
                room.map_or_else(String::new, |room| room.to_string()),
                stale.clone(),
                claim_from.clone(),
                piece.len().to_string(),
            ];
            args.extend(piece.iter().cloned());
            args.extend(self.names.iter().cloned());
            let answer = link.run(|s| &s.heartbeat, &self.tasks_key(), &args)?;
            let [own, claimed, next, unclaimed] = answer::list(answer);
            *claim_from = answer::string(next);
            let own = answer::numbers(own);
            let lost = piece.iter().zip(own).filter(|(_, own)| *own == 0);
            let lost: Vec<_> = lost.map(|(entry, _)| entry.clone()).collect();
            self.lose(&mut self.lock(), &lost);
            if rest.is_empty() {
                self.record_renewal(sent);
            }
            for (entry, fields) in answer::entries(claimed) {
                self.begin(link, entry, fields);
            }
            if rest.is_empty() {
                self.lock().left =
                    answer::number(&unclaimed).unsigned_abs() as usize;
                // The fetcher may take tasks again, if there are fewer left or after a
                // long silence.
                self.has_room.notify_all();
                return Ok(());
            }
        }
    }

    /// What this worker reports about itself.
    fn record(&self, state: &State) -> String {
        let running = state.running.iter().take(REPORTED_RUNNING);
        let running = running.map(|(entry, running)| Run {
            entry: entry.clone(),
            millis: running.since.elapsed().as_millis() as u64,
            pid: running.ticket.and_then(|t| self.local.process_of(t)),
        });
        write_record(&host(), self.processes, running.collect())
    }

    /// Marks tasks that this worker no longer owns, and ends their runs here.
    fn lose(&self, state: &mut State, entries: &[String]) {
        for entry in entries {
            if let Some(running) = state.running.get_mut(entry) {
                running.lost = true;
            }
        }
        self.cancel(state, entries);
    }
}
