//! The parent's side of a pool: it sends tasks, and knows how each of them ended.
//!
//! There is no thread that receives answers. Whoever waits for one receives what comes,
//! for itself and for all others; one thread at a time does, and the others wait to be
//! told. Who has got what it waited for lets one of the others go on receiving.
//!
//! # Which tasks are lost
//!
//! The supervisor's word on a worker that has ended comes through the ring of answers,
//! behind all that the worker itself had sent. So a task that the worker was running,
//! and that has no answer by then, is lost. A worker that was about to *take* a task
//! may have left it in the ring, and its seat is cleared before the word on it. If the
//! ring shows the task as taken, then the seat of whoever took it named it before that.
//! If another took it, either its seat does so still, or its answer, or the word on
//! its end with the task, was sent before the seat was cleared and can be received now.
//! If there is neither, the one that died had it, or several did that died over it.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::TaskError;
use super::board::{Common, Doing, TICKETS, TICKETS_TAKEN, TaskId};
use super::message::{ANSWER_HEADER, AnswerHeader, Kind, TASK_HEADER, TaskHeader};
use super::supervisor::LOOK;
use super::task::{self, Ended, all_well};
use crate::channel::{RecvError, SendError};
use crate::codec;
use crate::process::ProcessHandle;
use crate::registry::{self, RegistryId};
use crate::sys::futex::Deadline;
use crate::sys::routine::Routine;

/// How a task ended: the bytes of its value, which begin at [`VALUE`], or why it has
/// none.
pub(super) type Outcome = Result<Vec<u8>, TaskError>;

/// Where the value begins in the bytes of an answer.
pub(super) const VALUE: usize = ANSWER_HEADER + 1;

/// What is to be called when a task has ended.
pub(super) type Callback = Box<dyn FnOnce(Outcome) + Send>;

/// Names an entry of the table.
pub(super) type Ticket = u32;

pub(super) struct Desk {
    pub(super) common: Common,
    pub(super) supervisor: ProcessHandle,
    /// The process that made the pool: a fork of it has this memory, but no part in
    /// the pool.
    maker: RegistryId,
    table: Mutex<Table>,
    /// Notified when anything has changed in the table and somebody else waits for it.
    /// The thread that is receiving sleeps on the answers instead: see
    /// [`tell`](Self::tell).
    changed: Condvar,
}

/// Every task that is on its way, or whose outcome nobody has asked for yet.
pub(super) struct Table {
    entries: Vec<Entry>,
    free: Vec<Ticket>,
    /// So many tickets have their space in the list of what is cancelled.
    tickets_taken: u32,
    pub(super) state: State,
    /// Whether a thread is receiving.
    receiving: bool,
    /// How many threads wait to be told.
    followers: usize,
    /// Who iterates over results in the order in which they come: what has come.
    arrivals: Vec<Option<VecDeque<Ticket>>>,
    /// Callbacks of tasks that have ended, in the order in which they did.
    calls: VecDeque<(Callback, Outcome)>,
    /// How many callbacks are yet to return.
    calls_due: usize,
    /// The thread that calls them, while there is one.
    caller: Option<ThreadId>,
    /// Tasks that may be lost with a worker, and that could not be told yet.
    perhaps_lost: Vec<(TaskId, TaskError)>,
}

/// How far a pool's life has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closed,
    /// Nothing will come any more, and every task has ended: what a new one ends with.
    Over(TaskError),
}

struct Entry {
    /// The number of the message that carries the task.
    number: u32,
    /// Whether a worker's, or the supervisor's, word on it is still to come. Until
    /// then the ticket is not free.
    in_flight: bool,
    /// Whether the board says so of its ticket.
    cancelled: bool,
    /// Whether somebody may still ask for the outcome.
    held: bool,
    outcome: Option<Outcome>,
    /// Which of the arrivals it is to be listed in.
    arrivals: Option<usize>,
    calls: Vec<Callback>,
}

impl Table {
    fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            tickets_taken: 0,
            state: State::Open,
            receiving: false,
            followers: 0,
            arrivals: Vec::new(),
            calls: VecDeque::new(),
            calls_due: 0,
            caller: None,
            perhaps_lost: Vec::new(),
        }
    }

    pub(super) fn is_done(&self, ticket: Ticket) -> bool {
        self.entries[ticket as usize].outcome.is_some()
    }

    pub(super) fn outcome(&self, ticket: Ticket) -> Option<&Outcome> {
        self.entries[ticket as usize].outcome.as_ref()
    }

    /// Whether each task of a chunk has ended with its value.
    pub(super) fn ended_well(&self, ticket: Ticket) -> bool {
        matches!(self.outcome(ticket), Some(Ok(bytes)) if all_well(bytes, VALUE))
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    fn free(&mut self, ticket: Ticket) {
        let entry = &mut self.entries[ticket as usize];
        if !entry.in_flight && !entry.held {
            entry.outcome = None;
            self.free.push(ticket);
        }
    }

    /// Takes the outcome, if there is one, and gives up the ticket.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Outcome> {
        let entry = &mut self.entries[ticket as usize];
        entry.held = false;
        entry.arrivals = None;
        let outcome = entry.outcome.take();
        self.free(ticket);
        outcome
    }

    /// What is to happen with the outcome besides being kept: at once, if it is there.
    pub(super) fn add_call(&mut self, ticket: Ticket, call: Callback) {
        self.calls_due += 1;
        let entry = &mut self.entries[ticket as usize];
        match &entry.outcome {
            Some(outcome) => self.calls.push_back((call, outcome.clone())),
            None => entry.calls.push(call),
        }
    }

    /// A call for a task that could not even be submitted.
    pub(super) fn add_call_now(&mut self, call: Callback, outcome: Outcome) {
        self.calls_due += 1;
        self.calls.push_back((call, outcome));
    }

    pub(super) fn add_arrivals(&mut self) -> usize {
        let unused = self.arrivals.iter().position(Option::is_none);
        let list = unused.unwrap_or_else(|| {
            self.arrivals.push(None);
            self.arrivals.len() - 1
        });
        self.arrivals[list] = Some(VecDeque::new());
        list
    }

    /// What has come last and was not asked for yet.
    pub(super) fn arrivals(&mut self, list: usize) -> Option<&mut VecDeque<Ticket>> {
        self.arrivals[list].as_mut()
    }

    pub(super) fn remove_arrivals(&mut self, list: usize) {
        self.arrivals[list] = None;
    }

    /// The end of the task, of which there is only one: what comes later is too late.
    fn end(&mut self, ticket: Ticket, outcome: Outcome) {
        let entry = &mut self.entries[ticket as usize];
        if entry.outcome.is_some() {
            return;
        }
        for call in mem::take(&mut entry.calls) {
            self.calls.push_back((call, outcome.clone()));
        }
        if entry.held {
            entry.outcome = Some(outcome);
            let list = entry.arrivals.and_then(|list| self.arrivals[list].as_mut());
            if let Some(list) = list {
                list.push_back(ticket);
            }
        }
    }

    /// The last word on the task by those who have it.
    fn land(&mut self, task: TaskId, outcome: Option<Outcome>) {
        let Some(entry) = self.entries.get_mut(task.ticket as usize) else {
            return;
        };
        if entry.number != task.number || !entry.in_flight {
            return;
        }
        entry.in_flight = false;
        if let Some(outcome) = outcome {
            self.end(task.ticket, outcome);
        }
        self.free(task.ticket);
    }

    fn is_in_flight(&self, task: TaskId) -> bool {
        self.entries
            .get(task.ticket as usize)
            .is_some_and(|entry| entry.number == task.number && entry.in_flight)
    }

    /// Every task that has not ended, ends with this.
    pub(super) fn end_all(&mut self, error: &TaskError) {
        if self.is_over() {
            return;
        }
        self.state = State::Over(error.clone());
        for ticket in 0..self.entries.len() as Ticket {
            let entry = &mut self.entries[ticket as usize];
            if mem::take(&mut entry.in_flight) {
                self.end(ticket, Err(error.clone()));
                self.free(ticket);
            }
        }
    }

    /// Forgets all callbacks that are not being called.
    pub(super) fn drop_calls(&mut self) -> Vec<Callback> {
        let entries = self.entries.iter_mut();
        let mut calls: Vec<_> = entries
            .flat_map(|entry| mem::take(&mut entry.calls))
            .collect();
        calls.extend(mem::take(&mut self.calls).into_iter().map(|(call, _)| call));
        self.calls_due -= calls.len();
        calls
    }

    fn receive(&mut self, common: &Common, message: &mut Vec<u8>) {
        let Some(header) = AnswerHeader::read(message) else {
            return;
        };
        let error = |message: &[u8]| {
            let error = codec::decode(&message[ANSWER_HEADER..]);
            error.unwrap_or_else(|error| TaskError::Result(error.to_string()))
        };
        match header.kind {
            Kind::Answer => {
                let well = message.get(ANSWER_HEADER) == Some(&(Ended::Well as u8));
                let outcome = if well {
                    Ok(take_bytes(message))
                } else {
                    let error = codec::decode(message.get(VALUE..).unwrap_or(&[]));
                    Err(error.unwrap_or_else(|error| {
                        TaskError::Result(error.to_string())
                    }))
                };
                self.land(header.task, Some(outcome));
            }
            Kind::Skipped => self.land(header.task, None),
            Kind::Lost => self.land(header.task, Some(Err(error(message)))),
            Kind::PerhapsLost => {
                if taken(common, header.task) && self.is_in_flight(header.task) {
                    self.perhaps_lost.push((header.task, error(message)));
                }
            }
            Kind::Failed => {
                let error = match error(message) {
                    error @ (TaskError::Initializer(_) | TaskError::System(_)) => {
                        error
                    }
                    other => TaskError::Initializer(other.to_string()),
                };
                self.end_all(&error);
            }
            Kind::Shutdown => {
                // Nobody is left who could have them.
                for (task, error) in mem::take(&mut self.perhaps_lost) {
                    self.land(task, Some(Err(error)));
                }
                let error = match self.state {
                    State::Closed => TaskError::Closed,
                    _ => TaskError::Broken,
                };
                self.end_all(&error);
            }
            Kind::Wake => {}
        }
    }
}

/// Whether the task has left the ring.
fn taken(common: &Common, task: TaskId) -> bool {
    common.tasks.taken().wrapping_sub(task.number).cast_signed() > 0
}

/// A small message's bytes as a copy, a large one's as they are.
fn take_bytes(message: &mut Vec<u8>) -> Vec<u8> {
    const LARGE: usize = 4096;
    if message.len() >= LARGE {
        mem::take(message)
    } else {
        message.clone()
    }
}

/// Where a thread that waits has come to.
pub(super) enum Waited {
    Done,
    TimedOut,
}

impl Desk {
    pub(super) fn new(common: Common, supervisor: ProcessHandle) -> Self {
        Self {
            common,
            supervisor,
            maker: registry::me(),
            table: Mutex::new(Table::new()),
            changed: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing that can panic runs under the lock.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the process that made the pool.
    pub(super) fn is_makers(&self) -> bool {
        self.maker == registry::me()
    }

    /// Space for a task's message: what its function takes is to be appended.
    pub(super) fn message() -> Vec<u8> {
        let mut message = codec::scratch();
        message.clear();
        message.resize(TASK_HEADER, 0);
        message
    }

    /// Sends a task, whose message begins with [`TASK_HEADER`] bytes of no matter what.
    pub(super) fn submit(
        &self,
        routine: Routine,
        limit: Option<Duration>,
        message: &mut [u8],
        arrivals: Option<usize>,
    ) -> Result<Ticket, TaskError> {
        if !self.is_makers() {
            return Err(TaskError::NotTheMaker);
        }
        let mut table = self.lock();
        match &table.state {
            State::Open => {}
            State::Closed => return Err(TaskError::Closed),
            State::Over(error) => return Err(error.clone()),
        }
        let ticket = self.ticket(&mut table)?;
        if mem::take(&mut table.entries[ticket as usize].cancelled) {
            self.common.forget_cancelled(ticket);
        }
        let number = self.common.tasks.sent();
        let task = TaskId { number, ticket };
        // A limit of zero is over at once, and not the sign for none.
        let limit = limit.map_or(0, |limit| {
            u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX).max(1)
        });
        let header = TaskHeader {
            task,
            routine,
            limit,
        };
        header.write(message);
        match self.common.tasks.send(message, Deadline::Never) {
            Ok(()) => {}
            Err(SendError::System(error)) => {
                table.free.push(ticket);
                return Err(TaskError::System(error.to_string()));
            }
            Err(SendError::Full) => unreachable!("there is no limit to it"),
        }
        table.entries[ticket as usize] = Entry {
            number,
            in_flight: true,
            cancelled: false,
            held: true,
            outcome: None,
            arrivals,
            calls: Vec::new(),
        };
        drop(table);
        self.common.call_a_worker();
        Ok(ticket)
    }

    /// Sends at most `size` inputs as one task, and tells how many they are; nothing if
    /// there are none. There is no routine for a function that cannot be sent.
    pub(super) fn submit_chunk<T: Serialize>(
        &self,
        routine: Option<Routine>,
        limit: Option<Duration>,
        inputs: &mut impl Iterator<Item = T>,
        size: usize,
        arrivals: Option<usize>,
    ) -> Option<(Result<Ticket, TaskError>, usize)> {
        let mut message = Self::message();
        let chunk = task::append_chunk(&mut message, inputs, size)?;
        let sent = match (routine, chunk.refused) {
            (_, Some(error)) => Err(TaskError::Argument(error.to_string())),
            (None, _) => Err(TaskError::Foreign),
            (Some(routine), None) => {
                self.submit(routine, limit, &mut message, arrivals)
            }
        };
        codec::keep(message);
        Some((sent, chunk.count))
    }

    fn ticket(&self, table: &mut Table) -> Result<Ticket, TaskError> {
        if let Some(ticket) = table.free.pop() {
            return Ok(ticket);
        }
        let ticket = table.entries.len() as Ticket;
        if ticket == table.tickets_taken {
            if ticket == TICKETS {
                return Err(TaskError::System(format!(
                    "{TICKETS} tasks are on their way, more than a pool keeps track \
                     of: wait for some of them"
                )));
            }
            let end = ticket + TICKETS_TAKEN;
            let taken = self.common.take_tickets(end);
            taken.map_err(|error| TaskError::System(error.to_string()))?;
            table.tickets_taken = end;
        }
        table.entries.push(Entry {
            number: 0,
            in_flight: false,
            cancelled: false,
            held: false,
            outcome: None,
            arrivals: None,
            calls: Vec::new(),
        });
        Ok(ticket)
    }

    /// Waits until `done`, receiving whatever comes meanwhile.
    pub(super) fn wait(
        &self,
        until: Option<Instant>,
        mut done: impl FnMut(&mut Table) -> bool,
    ) -> (MutexGuard<'_, Table>, Waited) {
        let mut table = self.lock();
        if !self.is_makers() {
            // What this received, the maker would wait for.
            table.end_all(&TaskError::NotTheMaker);
        }
        loop {
            if done(&mut table) {
                return (table, Waited::Done);
            }
            let left = until.map(|u| u.saturating_duration_since(Instant::now()));
            if table.receiving || table.is_over() {
                if left == Some(Duration::ZERO) {
                    return (table, Waited::TimedOut);
                }
                table.followers += 1;
                // Whoever changes the table has to lock it, which is not free before
                // this sleeps: no notification is lost.
                table = match left {
                    None => self.changed.wait(table),
                    Some(left) => {
                        let waited = self.changed.wait_timeout(table, left);
                        waited.map(|(table, _)| table).map_err(|poisoned| {
                            PoisonError::new(poisoned.into_inner().0)
                        })
                    }
                }
                .unwrap_or_else(PoisonError::into_inner);
                table.followers -= 1;
            } else {
                table.receiving = true;
                drop(table);
                let deadline = left.map_or(Deadline::Never, Deadline::after);
                table = self.receive(deadline);
                table.receiving = false;
                self.notify(&table);
                if left == Some(Duration::ZERO) {
                    let waited = if done(&mut table) {
                        Waited::Done
                    } else {
                        Waited::TimedOut
                    };
                    return (table, waited);
                }
            }
        }
    }

    /// Receives what comes next, and what has come besides. For one thread at a time.
    fn receive(&self, deadline: Deadline) -> MutexGuard<'_, Table> {
        let answers = &self.common.answers;
        let mut message = codec::scratch();
        // To ask whether the supervisor lives takes a system call: only after a while.
        let asked = std::cell::Cell::new(false);
        let hope = || !asked.replace(true) || self.supervisor.is_alive();
        let mut received = answers.recv(&mut message, deadline, hope, |_| ());
        let mut table = self.lock();
        // No more than there is: workers may send as fast as this receives.
        let mut left = answers.len();
        loop {
            match received {
                Ok(()) => table.receive(&self.common, &mut message),
                Err(RecvError::Empty) => break,
                // Without a farewell.
                Err(RecvError::Disconnected) => {
                    table.end_all(&TaskError::Broken);
                    break;
                }
                Err(error @ (RecvError::TooLarge | RecvError::Broken)) => {
                    table.end_all(&match error {
                        RecvError::TooLarge => TaskError::System(
                            "there is no memory for a result".into(),
                        ),
                        _ => TaskError::Broken,
                    });
                    // Nobody will receive what it sends.
                    let _gone = self.supervisor.terminate();
                    break;
                }
            }
            // Where it is not, the next round decides.
            if answers.is_empty() && !table.perhaps_lost.is_empty() {
                self.find_lost(&mut table);
            }
            if left == 0 || answers.is_empty() {
                break;
            }
            left -= 1;
            received = answers.recv(&mut message, Deadline::Never, || true, |_| ());
        }
        codec::keep(message);
        table
    }

    /// Decides on the tasks that a worker died over while it was taking them, all of
    /// which have left the ring.
    fn find_lost(&self, table: &mut Table) {
        let suspects = mem::take(&mut table.perhaps_lost);
        for (task, error) in suspects {
            let seats = self.common.seats();
            let elsewhere = seats.into_iter().any(|seat| match seat.doing() {
                Doing::Taking(at)
                | Doing::Running(at)
                | Doing::Answering(at)
                | Doing::Doomed(at) => at == task,
                Doing::Nothing | Doing::Initializing => false,
            });
            if elsewhere {
                continue;
            }
            if self.common.answers.is_empty() {
                table.land(task, Some(Err(error)));
            } else {
                // To be decided on when those have been received.
                table.perhaps_lost.push((task, error));
            }
        }
    }

    /// Ends the task as cancelled, unless it has ended: whoever has it is to drop it.
    /// Returns whether it is cancelled.
    pub(super) fn cancel(&self, tickets: &[Ticket]) -> bool {
        if !self.is_makers() {
            return false;
        }
        let (mut table, _) = self.wait(Some(Instant::now()), |_| false);
        let mut cancelled = false;
        for &ticket in tickets {
            let entry = &mut table.entries[ticket as usize];
            if entry.outcome.is_some() {
                continue;
            }
            entry.cancelled = true;
            let number = entry.number;
            self.common.cancel(TaskId { number, ticket });
            table.end(ticket, Err(TaskError::Cancelled));
            cancelled = true;
        }
        if cancelled {
            // Where it has gone, so have all workers.
            let _gone = self.supervisor.notify(LOOK);
            self.tell(table);
        }
        cancelled
    }

    /// Has everybody who waits look again, after a change of the table that no message
    /// tells of. The thread that is receiving would sleep on: it looks at the table
    /// only behind a message, and so it is sent one.
    pub(super) fn tell(&self, table: MutexGuard<'_, Table>) {
        self.notify(&table);
        let receiving = table.receiving;
        drop(table);
        if receiving {
            let task = TaskId::from_word(0);
            let kind = Kind::Wake;
            let mut message = Vec::new();
            AnswerHeader { task, kind }.append(&mut message);
            // Not for ever: whoever has the turn for so long sends what wakes it too.
            let soon = Deadline::after(Duration::ZERO);
            let _sent = self.common.answers.send(&message, soon);
        }
    }

    /// Has those who wait to be told look again, after a change of the table.
    fn notify(&self, table: &Table) {
        // To notify nobody would be a system call all the same.
        if table.followers > 0 {
            self.changed.notify_all();
        }
    }
}

/// Callbacks.
impl Desk {
    /// Makes sure that there is a thread to call what is to be called, and that it
    /// knows what can be called already.
    pub(super) fn start_calling(self: &Arc<Self>, mut table: MutexGuard<'_, Table>) {
        if table.caller.is_some() {
            if !table.calls.is_empty() {
                self.tell(table);
            }
            return;
        }
        let desk = Arc::clone(self);
        let thread = thread::Builder::new().name("pool callbacks".into());
        // Where there can be no thread, whoever joins the pool calls.
        if let Ok(thread) = thread.spawn(move || desk.call()) {
            table.caller = Some(thread.thread().id());
        }
    }

    /// Calls callbacks, one after the other as they come, until none is due.
    fn call(&self) {
        loop {
            let (mut table, _) =
                self.wait(None, |t| !t.calls.is_empty() || t.calls_due == 0);
            let Some((call, outcome)) = table.calls.pop_front() else {
                table.caller = None;
                self.notify(&table);
                return;
            };
            drop(table);
            // Its panic was told by the hook, and is no reason to call no others.
            let _panicked =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    call(outcome);
                }))
                .map_err(mem::forget);
            self.lock().calls_due -= 1;
        }
    }

    /// Whether the calling thread is the one that calls callbacks.
    pub(super) fn is_caller(&self) -> bool {
        self.lock().caller == Some(thread::current().id())
    }

    /// Waits until every task has ended and every callback has returned.
    pub(super) fn wait_for_all(&self, until: Option<Instant>) -> Waited {
        let waited = self.wait(until, |t| {
            t.is_over() && (t.calls_due == 0 || t.caller.is_none())
        });
        let (table, Waited::Done) = waited else {
            return Waited::TimedOut;
        };
        drop(table);
        // None, but where no thread could be started for them.
        self.call();
        Waited::Done
    }
}

#[cfg(test)]
mod tests {
    use super::super::task::append_error;
    use super::*;
    use crate::process::current_process;

    const KILLED: TaskError = TaskError::Killed { signal: 9 };

    /// The tests are its supervisor and its workers.
    fn desk() -> Desk {
        Desk::new(Common::new(2).unwrap(), current_process())
    }

    fn submit(desk: &Desk) -> TaskId {
        let routine = Routine::from_word(0);
        let sent = desk.submit(routine, None, &mut Desk::message(), None);
        let ticket = sent.unwrap();
        let number = desk.lock().entries[ticket as usize].number;
        TaskId { number, ticket }
    }

    /// Takes a task out of the ring, as a worker.
    fn take(desk: &Desk) -> TaskId {
        let mut message = Vec::new();
        let tasks = &desk.common.tasks;
        let taken = tasks.recv(&mut message, Deadline::Never, || false, |_| ());
        taken.unwrap();
        TaskHeader::read(&message).unwrap().task
    }

    fn say(desk: &Desk, task: TaskId, kind: Kind) {
        let mut message = Vec::new();
        AnswerHeader { task, kind }.append(&mut message);
        match kind {
            Kind::Answer => message.push(Ended::Well as u8),
            _ => append_error(&KILLED, &mut message),
        }
        let answers = &desk.common.answers;
        answers.send(&message, Deadline::Never).unwrap();
    }

    /// How the task has ended, if it has by all that was said.
    fn end(desk: &Desk, task: TaskId) -> Option<Result<(), TaskError>> {
        let (table, _) = desk.wait(Some(Instant::now()), |_| false);
        let outcome = table.outcome(task.ticket).cloned();
        outcome.map(|outcome| outcome.map(|_bytes| ()))
    }

    #[test]
    fn a_task_that_is_still_in_the_ring_is_not_lost() {
        let desk = desk();
        let task = submit(&desk);
        say(&desk, task, Kind::PerhapsLost);
        assert_eq!(end(&desk, task), None);
        assert_eq!(take(&desk), task);
        assert_eq!(end(&desk, task), None);
        say(&desk, task, Kind::Answer);
        assert_eq!(end(&desk, task), Some(Ok(())));
    }

    #[test]
    fn a_task_that_was_taken_and_is_on_no_seat_is_lost() {
        let desk = desk();
        let (task, other) = (submit(&desk), submit(&desk));
        assert_eq!(take(&desk), task);
        desk.common.seat(1).set(Doing::Taking(other));
        say(&desk, task, Kind::PerhapsLost);
        assert_eq!(end(&desk, task), Some(Err(KILLED)));
        assert_eq!(end(&desk, other), None);
    }

    #[test]
    fn a_task_on_another_seat_is_that_workers() {
        let doings = [
            Doing::Taking,
            Doing::Running,
            Doing::Answering,
            Doing::Doomed,
        ];
        for doing in doings {
            let desk = desk();
            let task = submit(&desk);
            assert_eq!(take(&desk), task);
            desk.common.seat(1).set(doing(task));
            say(&desk, task, Kind::PerhapsLost);
            assert_eq!(end(&desk, task), None);
            desk.common.seat(1).set(Doing::Nothing);
            assert_eq!(end(&desk, task), None, "its word is still to come");
            say(&desk, task, Kind::Answer);
            assert_eq!(end(&desk, task), Some(Ok(())));
        }
    }

    #[test]
    fn nothing_is_lost_while_an_answer_is_still_to_be_received() {
        let desk = desk();
        let task = submit(&desk);
        assert_eq!(take(&desk), task);
        say(&desk, task, Kind::PerhapsLost);
        say(&desk, task, Kind::Answer);
        assert_eq!(end(&desk, task), Some(Ok(())));

        // One that has come since the ring was seen empty.
        let task = submit(&desk);
        assert_eq!(take(&desk), task);
        let mut table = desk.lock();
        table.perhaps_lost.push((task, KILLED));
        say(&desk, task, Kind::Answer);
        desk.find_lost(&mut table);
        drop(table);
        assert_eq!(end(&desk, task), Some(Ok(())));
    }

    #[test]
    fn a_farewell_hides_no_loss() {
        let desk = desk();
        let (lost, closed) = (submit(&desk), submit(&desk));
        assert_eq!(take(&desk), lost);
        desk.lock().state = State::Closed;
        say(&desk, lost, Kind::PerhapsLost);
        say(&desk, lost, Kind::Shutdown);
        assert_eq!(end(&desk, lost), Some(Err(KILLED)));
        assert_eq!(end(&desk, closed), Some(Err(TaskError::Closed)));
    }

    #[test]
    fn a_cancelled_ticket_is_good_for_another_task() {
        let desk = desk();
        let task = submit(&desk);
        assert!(desk.cancel(&[task.ticket]) && desk.common.is_cancelled(task));
        desk.lock().take(task.ticket);
        assert_eq!(take(&desk), task);
        say(&desk, task, Kind::Skipped);
        assert_eq!(end(&desk, task), None);
        assert_eq!(submit(&desk).ticket, task.ticket);
        // When the numbers have gone round, it might be this one.
        assert!(!desk.common.is_cancelled(task));
    }
}
