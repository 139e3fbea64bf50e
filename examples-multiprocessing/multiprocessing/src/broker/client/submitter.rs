//! The thread that sends requests to the broker, and a caller that does so itself.

use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use super::outbox::{Batch, Submission};
use super::{Activity, Client, Outcomes};
use crate::TaskError;
use crate::broker::answer;
use crate::broker::link::Link;
use crate::poison::{lock_unpoisoned, try_lock_unpoisoned};

/// In a submission: it may be a repetition.
const AGAIN: &str = "again";

impl Client {
    /// Sends a batch from the outbox in the calling thread, if no other thread is sending.
    /// This saves a switch to the submitter.
    pub(crate) fn send_now(&self, outcomes: &impl Outcomes) {
        if let Some(mut link) = try_lock_unpoisoned(&self.link) {
            let batch = self.next_batch(&mut self.lock());
            if let Some(batch) = batch {
                self.run(&mut link, batch, outcomes);
            }
        }
        // Other threads may have added requests meanwhile; or another thread was sending.
        let shared = self.lock();
        if !shared.outbox.is_empty() {
            self.changed.notify_all();
        }
    }

    pub(super) fn submit_all(&self, outcomes: &impl Outcomes) {
        while self.wait_for_requests() {
            // The link is locked before the batch is taken, so that submissions reach the
            // broker in the order of their numbers.
            let mut link = lock_unpoisoned(&self.link);
            let batch = self.next_batch(&mut self.lock());
            if let Some(batch) = batch {
                self.run(&mut link, batch, outcomes);
            }
        }
    }

    fn run(&self, link: &mut Link, batch: Batch, outcomes: &impl Outcomes) {
        match batch {
            Batch::Submit(submissions) => self.send(link, submissions, outcomes),
            Batch::Cancel(numbers) => self.cancel_now(link, &numbers, outcomes),
            Batch::Watch(id) => {
                let args = [self.id.clone(), id];
                link.retry(
                    || self.has_ended(),
                    |link| link.run(|s| &s.watch, &self.keys(), &args),
                );
            }
        }
    }

    /// Waits until the outbox has a request. Returns false at the end.
    fn wait_for_requests(&self) -> bool {
        let mut shared = self.lock();
        while shared.outbox.is_empty() && !shared.ended {
            shared.submitter = Activity::Asleep;
            if shared.waiting_for_room > 0 {
                self.changed.notify_all();
            }
            // The wake-up must not be lost: requests are added, and the end is set, under
            // the lock, and `submitter` is set under it before this sleeps.
            shared = self
                .changed
                .wait(shared)
                .unwrap_or_else(PoisonError::into_inner);
            shared.submitter = Activity::Busy;
        }
        !shared.ended
    }

    fn send(
        &self,
        link: &mut Link,
        mut submissions: Vec<Submission>,
        outcomes: &impl Outcomes,
    ) {
        let expires = self.options.expires;
        let expires =
            expires.map_or_else(String::new, |e| e.as_millis().to_string());
        let mut pause = Duration::from_millis(5);
        while let Some(first) = submissions.first() {
            let mut args = vec![
                first.number.to_string(),
                String::new(),
                self.options.capacity.to_string(),
                expires.clone(),
            ];
            for submission in &submissions {
                let keeps =
                    submission.of_key.is_some() || self.options.keep.is_some();
                let keeps = if keeps { "k" } else { "" };
                args.push(format!("{keeps}{}", submission.fields.len() * 2));
                for (field, value) in &submission.fields {
                    args.push((*field).to_owned());
                    args.push(value.clone());
                }
            }
            let answer = link.retry(
                || self.has_ended(),
                |link| {
                    let answer = link.run(|s| &s.submit, &self.keys(), &args);
                    AGAIN.clone_into(&mut args[1]);
                    answer
                },
            );
            match answer {
                None => return,
                Some(Ok(made)) => {
                    let made = answer::string(made);
                    let made: Vec<_> = made.split_whitespace().collect();
                    if made.is_empty() {
                        // The queue is full. The broker does not report when it has room.
                        if self.has_ended() {
                            return;
                        }
                        thread::sleep(pause);
                        pause = (pause * 2).min(Duration::from_millis(50));
                        continue;
                    }
                    let mut shared = self.lock();
                    for (submission, entry) in
                        submissions.drain(..made.len()).zip(made)
                    {
                        shared.set_submitted(submission, entry);
                    }
                }
                Some(Err(error)) => {
                    // The error does not say which task it concerns; each is sent alone.
                    if submissions.len() > 1 {
                        for submission in submissions {
                            self.send(link, vec![submission], outcomes);
                        }
                        return;
                    }
                    let why = link.explain(&error).to_string();
                    let submission = submissions.remove(0);
                    let open = self.lock().open.remove(&submission.number);
                    if let Some(open) = open {
                        outcomes.deliver(vec![(
                            open.token,
                            Some(Err(TaskError::System(why))),
                        )]);
                    }
                }
            }
        }
    }

    /// Removes tasks from the broker, and reports those that had not ended as cancelled.
    fn cancel_now(
        &self,
        link: &mut Link,
        numbers: &[u64],
        outcomes: &impl Outcomes,
    ) {
        let (mut tokens, mut entries) = (Vec::new(), Vec::new());
        {
            let mut shared = self.lock();
            for number in numbers {
                // A task that has ended is not open, and needs nothing.
                if let Some(open) = shared.open.remove(number) {
                    tokens.push((open.token, None));
                    entries.extend(open.entry);
                }
            }
        }
        if !entries.is_empty() {
            link.retry(
                || self.has_ended(),
                |link| link.run(|s| &s.cancel, &self.keys(), &entries),
            );
        }
        if !tokens.is_empty() {
            outcomes.deliver(tokens);
        }
    }
}
