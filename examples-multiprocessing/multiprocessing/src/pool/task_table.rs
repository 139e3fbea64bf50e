//! Every task of a pool that is on its way, or whose outcome nobody has taken yet.
//!
//! This is bookkeeping alone: no channel, process or thread is touched here.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

use slab::Slab;

use super::callbacks::{Callback, CallbackQueue};
use super::error::TaskError;
use super::message::{Outcome, TaskId, Ticket};
use super::wakers::WakerQueue;

/// How far a pool's life has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PoolState {
    Open,
    Closed,
    /// It is over, though nobody has closed or terminated it.
    Failed(TaskError),
    /// Nothing will come from the workers any more, and every task has ended. A task
    /// that had not ended by then did so with this error.
    Over(TaskError),
}

pub(super) struct TaskTable {
    entries: Slab<Entry>,
    pub(super) state: PoolState,
    /// Whether all workers were started.
    pub(super) ready: bool,
    /// For each iteration over results in the order in which they come: the tasks that
    /// have ended and that it has not asked for yet.
    arrivals: Slab<VecDeque<Ticket>>,
    pub(super) callbacks: CallbackQueue,
    pub(super) wakers: WakerQueue,
    /// Tasks that may have been lost with a worker, on which nothing is decided yet.
    suspects: Vec<(TaskId, TaskError)>,
}

struct Entry {
    /// The number of the message that carries the task.
    number: u32,
    /// Whether a message on the task is still to come, from a worker or the supervisor.
    /// Until then its ticket is not free.
    in_flight: bool,
    /// Whether somebody may still ask for the outcome.
    held: bool,
    /// Which of the [`arrivals`](TaskTable::arrivals) the task is to be listed in.
    arrivals: Option<u32>,
    outcome: Option<Outcome>,
    /// Apart, since few tasks have any: the table may be long, and is gone through twice.
    watchers: Option<Box<Watchers>>,
}

/// What is to be called when a task ends.
#[derive(Default)]
struct Watchers {
    callbacks: Vec<Callback>,
    /// That of the future that waits for the task, if one does.
    waker: Option<Waker>,
}

impl Entry {
    fn watchers(&mut self) -> &mut Watchers {
        self.watchers.get_or_insert_default()
    }

    /// Whether this is the entry of the task, and not of a later one with its ticket.
    fn is_in_flight(&self, task: TaskId) -> bool {
        self.number == task.number && self.in_flight
    }
}

impl TaskTable {
    pub(super) fn new() -> Self {
        Self {
            entries: Slab::new(),
            state: PoolState::Open,
            ready: false,
            arrivals: Slab::new(),
            callbacks: CallbackQueue::default(),
            wakers: WakerQueue::default(),
            suspects: Vec::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, PoolState::Failed(_) | PoolState::Over(_))
    }

    fn entry(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        self.entries.get_mut(ticket as usize)
    }

    /// The ticket that the next task will have.
    pub(super) fn next_ticket(&self) -> Ticket {
        self.entries.vacant_key() as Ticket
    }

    /// Enters a task that was just sent by the message of this number.
    #[inline]
    pub(super) fn insert(&mut self, number: u32, arrivals: Option<u32>) -> TaskId {
        let ticket = self.entries.insert(Entry {
            number,
            in_flight: true,
            held: true,
            arrivals,
            outcome: None,
            watchers: None,
        });
        TaskId {
            number,
            ticket: ticket as Ticket,
        }
    }

    /// The id of a task that has not ended.
    #[inline]
    pub(super) fn unended(&self, ticket: Ticket) -> Option<TaskId> {
        let entry = self.entries.get(ticket as usize)?;
        let number = entry.number;
        entry.outcome.is_none().then_some(TaskId { number, ticket })
    }

    /// Whether a message on any task is still to come.
    pub(super) fn any_in_flight(&self) -> bool {
        self.entries.iter().any(|(_, entry)| entry.in_flight)
    }

    /// The number that the task's message has, whether it has ended or not.
    #[cfg(feature = "broker")]
    pub(super) fn number(&self, ticket: Ticket) -> Option<u32> {
        Some(self.entries.get(ticket as usize)?.number)
    }

    #[inline]
    pub(super) fn is_done(&self, ticket: Ticket) -> bool {
        self.unended(ticket).is_none()
    }

    pub(super) fn outcome(&self, ticket: Ticket) -> Option<&Outcome> {
        self.entries.get(ticket as usize)?.outcome.as_ref()
    }

    /// Takes the outcome, if there is one. Nobody can ask for it afterwards.
    #[inline]
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Outcome> {
        let entry = self.entries.get_mut(ticket as usize)?;
        if let Some(watchers) = &mut entry.watchers {
            self.wakers.release(&mut watchers.waker);
        }
        if !entry.in_flight {
            return self.entries.remove(ticket as usize).outcome;
        }
        entry.held = false;
        entry.arrivals = None;
        entry.outcome.take()
    }

    #[inline]
    fn remove_if_unused(&mut self, ticket: Ticket) {
        if self.entry(ticket).is_some_and(|e| !e.in_flight && !e.held) {
            self.entries.remove(ticket as usize);
        }
    }

    /// Has the callback called with the outcome: at once, if the task has ended.
    pub(super) fn add_callback(&mut self, ticket: Ticket, callback: Callback) {
        let Some(entry) = self.entries.get_mut(ticket as usize) else {
            return;
        };
        self.callbacks.expect_one();
        match &entry.outcome {
            Some(outcome) => self.callbacks.push(callback, outcome.clone()),
            None => entry.watchers().callbacks.push(callback),
        }
    }

    /// Has the waker woken when the task ends, which it has not done yet. Returns the
    /// waker that it replaces: to be dropped when the table is free.
    #[must_use]
    pub(super) fn set_waker(
        &mut self,
        ticket: Ticket,
        waker: Waker,
    ) -> Option<Waker> {
        let entry = self.entries.get_mut(ticket as usize);
        entry.and_then(|entry| self.wakers.set(&mut entry.watchers().waker, waker))
    }

    /// Has the callback called for a task that could not even be sent.
    pub(super) fn add_callback_now(&mut self, callback: Callback, outcome: Outcome) {
        self.callbacks.expect_one();
        self.callbacks.push(callback, outcome);
    }

    /// Forgets all callbacks that are not being called, and returns them: to be dropped
    /// when the table is free, since they are the program's.
    #[must_use]
    pub(super) fn forget_callbacks(&mut self) -> Vec<Callback> {
        let entries = self.entries.iter_mut();
        let watchers = entries.filter_map(|(_, entry)| entry.watchers.as_mut());
        let waiting =
            watchers.flat_map(|watchers| mem::take(&mut watchers.callbacks));
        let waiting = waiting.collect();
        self.callbacks.forget(waiting)
    }

    pub(super) fn add_arrivals(&mut self) -> u32 {
        self.arrivals.insert(VecDeque::new()) as u32
    }

    /// The task of this iteration that ended first of those not asked for yet.
    pub(super) fn next_arrival(&mut self, list: u32) -> Option<Ticket> {
        self.arrivals.get_mut(list as usize)?.pop_front()
    }

    /// The tasks that were listed there must have been [taken](Self::take).
    pub(super) fn remove_arrivals(&mut self, list: u32) {
        self.arrivals.try_remove(list as usize);
    }

    /// Ends the task, unless it has ended: what comes later comes too late. The outcome is
    /// made where it is kept, as to move it would take longer than to make it.
    #[inline]
    pub(super) fn end(&mut self, ticket: Ticket, outcome: impl FnOnce() -> Outcome) {
        let Some(entry) = self.entries.get_mut(ticket as usize) else {
            return;
        };
        if entry.outcome.is_some() {
            return;
        }
        let outcome = entry.outcome.get_or_insert_with(outcome);
        if let Some(watchers) = &mut entry.watchers {
            self.wakers.release(&mut watchers.waker);
            for callback in mem::take(&mut watchers.callbacks) {
                self.callbacks.push(callback, outcome.clone());
            }
        }
        if !entry.held {
            entry.outcome = None;
        } else if let Some(list) = entry.arrivals
            && let Some(list) = self.arrivals.get_mut(list as usize)
        {
            list.push_back(ticket);
        }
    }

    /// The last message on a task has come, with its outcome.
    #[inline]
    pub(super) fn land(&mut self, task: TaskId, outcome: impl FnOnce() -> Outcome) {
        if self.leave_flight(task) {
            self.end(task.ticket, outcome);
            self.remove_if_unused(task.ticket);
        }
    }

    /// The last message on a task has come, which has ended before.
    pub(super) fn skip(&mut self, task: TaskId) {
        if self.leave_flight(task) {
            self.remove_if_unused(task.ticket);
        }
    }

    /// Whether the task was in flight until now.
    #[inline]
    fn leave_flight(&mut self, task: TaskId) -> bool {
        let entry = self.entry(task.ticket);
        entry.is_some_and(|entry| {
            entry.is_in_flight(task) && mem::take(&mut entry.in_flight)
        })
    }

    /// A worker died that may have had this task, which has left the channel.
    pub(super) fn suspect(&mut self, task: TaskId, error: TaskError) {
        if self
            .entry(task.ticket)
            .is_some_and(|e| e.is_in_flight(task))
        {
            self.suspects.push((task, error));
        }
    }

    pub(super) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Decides on the suspects, now that `another_has` knows which of them another
    /// worker has, and `is_final` that no message on them is still to be received.
    pub(super) fn judge_suspects(
        &mut self,
        another_has: impl Fn(TaskId) -> bool,
        is_final: impl Fn() -> bool,
    ) {
        for (task, error) in mem::take(&mut self.suspects) {
            if another_has(task) {
                continue;
            }
            if is_final() {
                self.land(task, || Err(error));
            } else {
                self.suspects.push((task, error));
            }
        }
    }

    /// The supervisor and all workers have ended in good order.
    pub(super) fn shut_down(&mut self) {
        // Nobody is left who could have them.
        for (task, error) in mem::take(&mut self.suspects) {
            self.land(task, || Err(error));
        }
        self.end_all(&match self.state {
            PoolState::Closed => TaskError::Closed,
            PoolState::Open | PoolState::Failed(_) | PoolState::Over(_) => {
                TaskError::Broken
            }
        });
    }

    /// Takes no more tasks.
    pub(super) fn close(&mut self) {
        self.state = match mem::replace(&mut self.state, PoolState::Closed) {
            PoolState::Open | PoolState::Closed => PoolState::Closed,
            PoolState::Failed(error) | PoolState::Over(error) => {
                PoolState::Over(error)
            }
        };
    }

    /// Takes no more tasks, and ends those that it has.
    pub(super) fn terminate(&mut self) {
        self.close();
        self.end_all(&TaskError::Terminated);
    }

    /// Every task that has not ended ends with this error.
    pub(super) fn end_all(&mut self, error: &TaskError) {
        if self.is_over() {
            return;
        }
        self.state = match self.state {
            PoolState::Open => PoolState::Failed(error.clone()),
            _ => PoolState::Over(error.clone()),
        };
        let tickets: Vec<_> = self.entries.iter().map(|(key, _)| key).collect();
        for ticket in tickets {
            let ticket = ticket as Ticket;
            if let Some(entry) = self.entry(ticket)
                && mem::take(&mut entry.in_flight)
            {
                self.end(ticket, || Err(error.clone()));
                self.remove_if_unused(ticket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: TaskError = TaskError::Killed { signal: 9 };

    #[test]
    fn only_the_first_outcome_of_a_task_counts() {
        let mut table = TaskTable::new();
        let task = table.insert(7, None);
        table.end(task.ticket, || Err(TaskError::Cancelled));
        table.land(task, || Err(KILLED));
        let outcome = table.take(task.ticket).unwrap();
        assert_eq!(outcome.unwrap_err(), TaskError::Cancelled);
    }

    #[test]
    fn a_ticket_is_free_once_the_task_has_landed_and_nobody_asks_for_it() {
        let mut table = TaskTable::new();
        let task = table.insert(7, None);
        table.take(task.ticket);
        assert_ne!(table.next_ticket(), task.ticket, "it is still in flight");
        table.land(task, || Err(KILLED));
        assert_eq!(table.next_ticket(), task.ticket);

        let task = table.insert(8, None);
        table.land(task, || Err(KILLED));
        assert_ne!(table.next_ticket(), task.ticket, "somebody may ask for it");
        table.take(task.ticket);
        assert_eq!(table.next_ticket(), task.ticket);
    }

    #[test]
    fn a_message_on_an_earlier_task_of_the_ticket_is_ignored() {
        let mut table = TaskTable::new();
        let earlier = table.insert(7, None);
        table.land(earlier, || Err(KILLED));
        table.take(earlier.ticket);
        let task = table.insert(8, None);
        assert_eq!(task.ticket, earlier.ticket);
        table.land(earlier, || Err(KILLED));
        assert!(!table.is_done(task.ticket));
    }

    #[test]
    fn arrivals_come_in_the_order_in_which_the_tasks_end() {
        let mut table = TaskTable::new();
        let list = table.add_arrivals();
        let tasks = [7, 8, 9].map(|number| table.insert(number, Some(list)));
        for i in [1, 2, 0] {
            table.land(tasks[i], || Err(KILLED));
        }
        for i in [1, 2, 0] {
            assert_eq!(table.next_arrival(list), Some(tasks[i].ticket));
        }
        assert_eq!(table.next_arrival(list), None);
    }

    #[test]
    fn a_suspect_is_judged_when_no_message_is_left() {
        let mut table = TaskTable::new();
        let tasks = [7, 8].map(|number| table.insert(number, None));
        for task in tasks {
            table.suspect(task, KILLED);
        }
        table.judge_suspects(|task| task == tasks[0], || false);
        assert!(!table.is_done(tasks[1].ticket), "its answer may still come");
        table.judge_suspects(|_| false, || true);
        assert!(!table.is_done(tasks[0].ticket), "another worker has it");
        assert!(matches!(table.outcome(tasks[1].ticket), Some(Err(KILLED))));
        assert!(!table.has_suspects());
    }

    #[test]
    fn callbacks_are_due_until_they_have_returned_or_are_forgotten() {
        let mut table = TaskTable::new();
        let tasks = [7, 8].map(|number| table.insert(number, None));
        for task in tasks {
            table.add_callback(task.ticket, Box::new(|_| ()));
        }
        table.land(tasks[1], || Err(KILLED));
        let (callback, outcome) = table.callbacks.pop().unwrap();
        callback(outcome);
        assert!(table.callbacks.is_empty());
        table.callbacks.returned();
        assert!(!table.callbacks.all_returned(), "one waits for its task");
        assert_eq!(table.forget_callbacks().len(), 1);
        assert!(table.callbacks.all_returned());
    }
}
