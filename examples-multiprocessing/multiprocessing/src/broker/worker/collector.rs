//! The thread that reports the tasks that have ended.

use std::sync::atomic::Ordering;

use super::{Phase, Worker, join};
use crate::TaskError;
use crate::broker::answer;
use crate::broker::link::{self, Link};
use crate::broker::wire::{self, Task};

/// The largest number of tasks that one script reports: the broker does nothing else
/// meanwhile.
const REPORTED: usize = 64;

/// The two numbers of an entry's id, by which the entries of a stream are ordered.
fn entry_number(entry: &str) -> (u64, u64) {
    let (millis, number) = entry.split_once('-').unwrap_or((entry, ""));
    (millis.parse().unwrap_or(0), number.parse().unwrap_or(0))
}

/// How a task ended in the local pool. The inner result is the function's: the value's
/// JSON, or its error. The outer error says how the process or the pool failed.
type Ending = Result<Result<String, TaskError>, TaskError>;

impl Worker {
    pub(super) fn collect(&self) {
        let mut link = self.address.link();
        loop {
            let ended = self.local.ended(|| self.finished.load(Ordering::Acquire));
            if ended.is_empty() {
                return;
            }
            for tickets in ended.chunks(REPORTED) {
                // The entries are looked up before the outcomes are taken: after that, the
                // tickets may belong to other tasks.
                let entries: Vec<_> = {
                    let mut state = self.lock();
                    let entries = tickets.iter().map(|t| state.tickets.remove(t));
                    entries.collect()
                };
                let endings = tickets.iter().map(|ticket| self.local.take(*ticket));
                let batch = entries.into_iter().zip(endings);
                let batch =
                    batch.filter_map(|(entry, ending)| Some((entry?, ending)));
                let batch = batch.collect();
                self.handle_ended(&mut link, batch);
            }
        }
    }

    /// Reports the tasks that have ended, and decides what happens to those whose run
    /// failed.
    fn handle_ended(&self, link: &mut Link, batch: Vec<(String, Ending)>) {
        let mut done = Vec::new();
        let mut again = Vec::new();
        let mut back = Vec::new();
        for (entry, ending) in batch {
            let mut state = self.lock();
            let Some(running) = state.running.get_mut(&entry) else {
                continue;
            };
            running.ticket = None;
            if running.lost {
                state.running.remove(&entry);
                self.notify_room(state);
                continue;
            }
            let task = &running.task;
            let kind = match ending {
                Err(TaskError::Killed { .. } | TaskError::Exited { .. }) => {
                    again.push((entry, task.clone(), ending.err()));
                    continue;
                }
                Err(TaskError::Cancelled) => {
                    back.push(entry);
                    continue;
                }
                Err(
                    TaskError::Broken | TaskError::Terminated | TaskError::Closed,
                ) => {
                    state.broken = true;
                    back.push(entry);
                    continue;
                }
                Ok(Ok(_)) => "done",
                _ => "failed",
            };
            let outcome = wire::write_outcome(&ending.flatten());
            let how = match kind {
                "done" if task.keep.is_empty() => String::new(),
                _ => format!("{kind} {}", task.keep),
            };
            done.push([entry, task.id.clone(), outcome, how]);
        }
        self.report(link, &mut done);
        for (entry, task, error) in again {
            self.run_again(link, entry, task, error);
        }
        if !back.is_empty() {
            self.give_back(link, back.clone());
            self.forget(back.iter(), 0);
        }
    }

    /// Sends outcomes to the broker, and repeats them until it has answered.
    fn report(&self, link: &mut Link, done: &mut [[String; 4]]) {
        if done.is_empty() {
            return;
        }
        done.sort_unstable_by_key(|[entry, ..]| entry_number(entry));
        let mut args = vec![self.id.clone()];
        args.extend(done.iter().flatten().cloned());
        let answer = link.retry(
            || self.has_ended(),
            |link| link.run(|s| &s.done, &self.tasks_key(), &args),
        );
        match answer {
            Some(Err(error)) if link::is_no_group(&error) => {
                // The broker was emptied and has lost these tasks. If the group cannot
                // be made again now, the heartbeat makes it.
                join(link, self.lease).ok();
            }
            Some(Err(error)) => {
                // The broker cannot accept one of the outcomes; each is sent alone.
                let [[_, id, ..]] = done else {
                    for one in done {
                        self.report(link, std::slice::from_mut(one));
                    }
                    return;
                };
                self.log(&format!("refuses the outcome of {id} ({error})"));
            }
            Some(Ok(_)) | None => {}
        }
        self.forget(done.iter().map(|parts| &parts[0]), done.len() as u32);
    }

    /// Runs a task again whose process has died, unless it was delivered too often.
    fn run_again(
        &self,
        link: &mut Link,
        entry: String,
        task: Task,
        how: Option<TaskError>,
    ) {
        let how = how.map_or_else(String::new, |error| error.to_string());
        let args = [
            self.id.clone(),
            entry.clone(),
            format!("{}: {how}", self.id),
        ];
        // If the broker stays away, the lease ends, and another worker claims the task.
        let answer = link.retry(
            || self.has_ended(),
            |link| link.run(|s| &s.retry, &self.tasks_key(), &args),
        );
        let owned = match answer {
            Some(Ok(answer)) => answer::string(answer) == "again",
            Some(Err(error)) if link::is_no_group(&error) => {
                // If this fails, the heartbeat makes the group.
                join(link, self.lease).ok();
                false
            }
            Some(Err(_)) | None => false,
        };
        let mut state = self.lock();
        let lost = state.running.get(&entry).is_none_or(|running| running.lost);
        if owned && !lost && state.phase == Phase::Serving {
            self.run_here(&mut state, entry, task);
            return;
        }
        drop(state);
        if owned {
            self.give_back(link, vec![entry.clone()]);
        }
        self.forget([&entry].into_iter(), 0);
    }
}
