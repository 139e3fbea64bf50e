//! The parent's side of a pool: it sends tasks, receives answers, and decides how each
//! task has ended.
//!
//! No thread receives answers in the background. A thread that looks for a result
//! receives whatever has come, for itself and for all others. If it has to wait, it sleeps
//! until more answers have come: one thread at a time does, and the others wait on a
//! condition variable. A thread that has its result hands that role to another waiter.
//!
//! A thread that waits for many tasks, as those of a `map`, would only take the processor
//! from the workers if each answer woke it. As long as no other thread waits, it therefore
//! has itself woken when all of them have been answered, or when so many bytes of answers
//! have come that the workers should not have to wait for them to be received in the end.
//!
//! # Which tasks are lost
//!
//! The supervisor's message about a worker that has ended comes through the channel of
//! answers, after everything that the worker itself had sent. A task that the worker was
//! *running*, and that has no answer by then, is lost.
//!
//! A worker that was *taking* a task may have left it in the channel. Before the message
//! about its end is sent, its slot is cleared. Then:
//!
//! - If the channel still has the task, nothing is lost: another worker will take it.
//! - If the task was taken, then the slot of the worker that took it named the task
//!   before that. If that was another worker, then either its slot still names the task;
//!   or an answer to it, or the message about that worker's end with it, was sent before
//!   the slot was cleared and can be received now.
//! - If neither exists, the task was held by the worker that died (or by several that
//!   died one after another), and is lost.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::Serialize;

use super::callbacks;
use super::error::{PoolError, TaskError};
use super::function::Function;
use super::message::{
    Answer, MAX_TICKETS, Outcome, Payload, TaskId, TaskMessage, Ticket,
};
use super::plan::CHECK_SLOTS;
use super::shared::{PoolShared, TICKETS_AT_A_TIME};
use super::task_table::{PoolState, TaskTable};
use crate::channel::{RecvError, SendError};
use crate::codec::Scratch;
use crate::poison::lock_unpoisoned;
use crate::process::ProcessHandle;
use crate::registry::{self, RegistryId};
use crate::sys::futex::{Deadline, Slept};
use crate::sys::routine::Routine;

pub(super) struct Dispatcher {
    pub(super) workers: Workers,
    /// The process that made the pool. A fork of it has a copy of this memory, but must
    /// not use the pool.
    owner: RegistryId,
    state: Mutex<State>,
    /// Notified when the state has changed and a thread waits that is not receiving. The
    /// thread that is receiving sleeps on the answers instead: see
    /// [`announce`](Self::announce).
    changed: Condvar,
}

/// Where the tasks go.
#[cfg_attr(
    feature = "broker",
    expect(clippy::large_enum_variant, reason = "there is one in a pool")
)]
pub(super) enum Workers {
    /// To processes of this program.
    Local {
        shared: PoolShared,
        supervisor: ProcessHandle,
    },
    /// To a broker: see `remote`.
    #[cfg(feature = "broker")]
    Elsewhere(Arc<crate::broker::Client>),
}

/// What the threads of the parent share.
pub(super) struct State {
    pub(super) tasks: TaskTable,
    /// What the thread that waits for answers sleeps for, while one does.
    leader: Leader,
    /// The number of threads that wait on `changed`.
    followers: usize,
    /// The number of tickets whose words in shared memory are allocated.
    allocated_tickets: Ticket,
}

/// Whether a thread waits for answers, and for which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leader {
    /// No thread does.
    None,
    /// It is woken by the next answer; over a broker, by the client.
    Any,
    /// It is woken when several have come.
    Several,
}

impl State {
    /// Whether the pool takes tasks.
    pub(super) fn check_open(&self) -> Result<(), TaskError> {
        match &self.tasks.state {
            PoolState::Open => Ok(()),
            PoolState::Closed | PoolState::Over(TaskError::Terminated) => {
                Err(TaskError::Closed)
            }
            PoolState::Failed(error) | PoolState::Over(error) => Err(error.clone()),
        }
    }

    /// The ticket that the next task will have.
    pub(super) fn next_ticket(&self) -> Result<Ticket, TaskError> {
        let ticket = self.tasks.next_ticket();
        if ticket >= MAX_TICKETS {
            return Err(TaskError::System(format!(
                "{MAX_TICKETS} tasks are on their way, which is the most that a pool \
                 keeps track of: wait for some of them"
            )));
        }
        Ok(ticket)
    }

    /// The same for a local task, with its word in shared memory allocated.
    fn allocate_ticket(&mut self, shared: &PoolShared) -> Result<Ticket, TaskError> {
        let ticket = self.next_ticket()?;
        if ticket >= self.allocated_tickets {
            let allocated = shared.allocate_tickets(self.allocated_tickets);
            allocated.map_err(|error| TaskError::System(error.to_string()))?;
            self.allocated_tickets += TICKETS_AT_A_TIME;
        }
        Ok(ticket)
    }
}

/// How a wait has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Done,
    TimedOut,
}

impl Dispatcher {
    pub(super) fn new(workers: Workers) -> Self {
        // The broker's client has a thread that receives, for as long as there is one.
        let leader = match workers {
            Workers::Local { .. } => Leader::None,
            #[cfg(feature = "broker")]
            Workers::Elsewhere(_) => Leader::Any,
        };
        Self {
            workers,
            owner: registry::me(),
            state: Mutex::new(State {
                tasks: TaskTable::new(),
                leader,
                followers: 0,
                allocated_tickets: 0,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock_unpoisoned(&self.state)
    }

    /// Whether this is the process that made the pool.
    pub(super) fn is_owner(&self) -> bool {
        self.owner == registry::me()
    }

    pub(super) fn processes(&self) -> usize {
        match &self.workers {
            Workers::Local { shared, .. } => shared.processes,
            #[cfg(feature = "broker")]
            Workers::Elsewhere(_) => super::remote::PROCESSES,
        }
    }

    pub(super) fn pool_state(&self) -> PoolState {
        self.lock().tasks.state.clone()
    }

    /// Waits until the supervisor has started all workers. A failed initializer is not
    /// reported here, but by every task.
    pub(super) fn wait_until_ready(&self) -> Result<(), PoolError> {
        let (state, _) = self.wait(None, |tasks| tasks.ready || tasks.is_over());
        match &state.tasks.state {
            PoolState::Open
            | PoolState::Closed
            | PoolState::Failed(TaskError::Initializer(_)) => Ok(()),
            PoolState::Failed(TaskError::System(why)) => {
                Err(PoolError::Workers(why.clone()))
            }
            PoolState::Failed(_) | PoolState::Over(_) => Err(PoolError::Workers(
                "its supervisor has ended before it had started all workers.".into(),
            )),
        }
    }

    /// Sends a task of one call, which the calling thread is about to wait for or not.
    #[inline]
    pub(super) fn submit_call<A: Serialize>(
        &self,
        function: Function,
        limit: Option<Duration>,
        args: &A,
        arrivals: Option<u32>,
        waits: bool,
    ) -> Result<Ticket, TaskError> {
        // A local task is sent by the calling thread in any case.
        let _ = waits;
        match &self.workers {
            Workers::Local { shared, .. } => {
                let routine = function.routine.ok_or(TaskError::Foreign)?;
                let mut message = TaskMessage::new(limit);
                message.append_call(args)?;
                self.submit(shared, routine, &mut message, arrivals)
            }
            #[cfg(feature = "broker")]
            Workers::Elsewhere(client) => {
                let args = crate::broker::write_args(args)?;
                let fields =
                    super::remote::fields(client, function, args, false, limit)?;
                self.submit_elsewhere(client, fields, arrivals, waits)
            }
        }
    }

    /// Sends a task.
    fn submit(
        &self,
        shared: &PoolShared,
        routine: Routine,
        message: &mut TaskMessage,
        arrivals: Option<u32>,
    ) -> Result<Ticket, TaskError> {
        if !self.is_owner() {
            return Err(TaskError::NotTheMaker);
        }
        let mut state = self.lock();
        state.check_open()?;
        let ticket = state.allocate_ticket(shared)?;
        shared.forget_cancelled(ticket);
        let number = shared.tasks.sent();
        let task = TaskId { number, ticket };
        let message = message.with_header(task, routine);
        match shared.tasks.send(message, Deadline::Never) {
            Ok(()) => {}
            Err(SendError::System(error)) => {
                return Err(TaskError::System(error.to_string()));
            }
            Err(SendError::Full) => unreachable!("the channel has no limit"),
        }
        let sent = state.tasks.insert(number, arrivals);
        debug_assert_eq!(sent, task);
        drop(state);
        shared.wake_worker();
        Ok(ticket)
    }

    /// Sends at most `size` inputs as one task, and returns their number too; nothing if
    /// there are none. There is no routine for a function that cannot be sent.
    pub(super) fn submit_chunk<A: Serialize>(
        &self,
        function: Function,
        limit: Option<Duration>,
        inputs: &mut impl Iterator<Item = A>,
        size: usize,
        arrivals: Option<u32>,
    ) -> Option<(Result<Ticket, TaskError>, usize)> {
        match &self.workers {
            Workers::Local { shared, .. } => {
                let (message, count) = TaskMessage::chunk(inputs, size, limit)?;
                let sent = message.and_then(|mut message| {
                    let routine = function.routine.ok_or(TaskError::Foreign)?;
                    self.submit(shared, routine, &mut message, arrivals)
                });
                Some((sent, count))
            }
            #[cfg(feature = "broker")]
            Workers::Elsewhere(client) => {
                let (args, count) =
                    super::remote::write_chunk(function.takes_one, inputs, size)?;
                let sent = args.and_then(|args| {
                    let fields =
                        super::remote::fields(client, function, args, true, limit)?;
                    self.submit_elsewhere(client, fields, arrivals, false)
                });
                Some((sent, count))
            }
        }
    }

    /// Waits until `done`, and receives whatever comes in the meantime.
    pub(super) fn wait(
        &self,
        until: Option<Instant>,
        mut done: impl FnMut(&mut TaskTable) -> bool,
    ) -> (MutexGuard<'_, State>, Waited) {
        self.wait_for(until, |tasks| usize::from(!done(tasks)))
    }

    /// Waits until nothing is `missing`, and receives whatever comes in the meantime. As
    /// many answers must still come as `missing` says, or more.
    pub(super) fn wait_for(
        &self,
        until: Option<Instant>,
        mut missing: impl FnMut(&mut TaskTable) -> usize,
    ) -> (MutexGuard<'_, State>, Waited) {
        let mut state = self.lock();
        if !self.is_owner() {
            // What this process received, the owner would wait for.
            state.tasks.end_all(&TaskError::NotTheMaker);
        }
        loop {
            let mut count = missing(&mut state.tasks);
            if count > 0 && self.receive(&mut state) {
                self.notify(&state);
                count = missing(&mut state.tasks);
            }
            if count == 0 {
                return (state, Waited::Done);
            }
            let left = until.map(|u| u.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                // A caller that only polls never sleeps for a slice, after which this
                // is asked otherwise.
                self.end_if_broken(&mut state);
                let waited = match missing(&mut state.tasks) {
                    0 => Waited::Done,
                    _ => Waited::TimedOut,
                };
                return (state, waited);
            }
            state = if let Workers::Local { shared, .. } = &self.workers
                && state.leader == Leader::None
                && !state.tasks.is_over()
            {
                self.lead(state, shared, count, left)
            } else {
                self.follow(state, left)
            };
        }
    }

    /// Waits until answers have come. For one thread at a time.
    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        shared: &PoolShared,
        missing: usize,
        left: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        let several = missing > 1 && state.followers == 0;
        if several {
            shared.want_answers(missing as u32);
        }
        // None of these is lost: the sender of one that comes later sees what is wanted.
        if shared.answers.is_empty() {
            state.leader = if several {
                Leader::Several
            } else {
                Leader::Any
            };
            let received = shared.answers.taken();
            drop(state);
            let deadline = left.map_or(Deadline::Never, Deadline::after);
            // While there is much to do, the workers want the processor.
            let slept = shared.wait_for_answers(received, deadline, !several);
            state = self.lock();
            state.leader = Leader::None;
            // Asked seldom, as it takes a system call.
            if slept != Slept::Woken {
                self.end_if_broken(&mut state);
            }
            // If this thread is done, one of the followers leads from now on.
            self.notify(&state);
        }
        if several {
            shared.want_any_answer();
        }
        state
    }

    /// Ends every task if the supervisor is gone and has sent no shutdown.
    fn end_if_broken(&self, state: &mut State) {
        if let Workers::Local { shared, supervisor } = &self.workers
            && !supervisor.is_alive()
            && shared.answers.is_empty()
        {
            state.tasks.end_all(&TaskError::Broken);
        }
    }

    /// Waits until another thread has changed the state.
    fn follow<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        if let Workers::Local { shared, .. } = &self.workers
            && state.leader == Leader::Several
        {
            // From now on the leader waits for this thread's answer, too.
            state.leader = Leader::Any;
            shared.want_any_answer();
            if !shared.answers.is_empty() {
                return state;
            }
        }
        self.wait_for_change(state, left)
    }

    /// Waits until another thread has changed the state. No notification is lost: the
    /// other thread has to lock the state first, and it is unlocked only when this thread
    /// sleeps.
    fn wait_for_change<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        state.followers += 1;
        let waited = match left {
            None => self.changed.wait(state),
            Some(left) => {
                let waited = self.changed.wait_timeout(state, left);
                waited
                    .map(|(state, _)| state)
                    .map_err(|poisoned| PoisonError::new(poisoned.into_inner().0))
            }
        };
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.followers -= 1;
        state
    }

    /// Receives the answers that have come. Returns whether there were any.
    fn receive(&self, state: &mut State) -> bool {
        let (shared, supervisor) = match &self.workers {
            Workers::Local { shared, supervisor } => (shared, supervisor),
            // The client's thread receives.
            #[cfg(feature = "broker")]
            Workers::Elsewhere(_) => return false,
        };
        let answers = &shared.answers;
        if answers.is_empty() || state.tasks.is_over() {
            return false;
        }
        let mut message = Scratch::take();
        // Only those that have come by now: workers may send as fast as this receives.
        let received = answers.recv_all(&mut message, |message| {
            apply(shared, &mut state.tasks, message);
        });
        if let Err(error) = received {
            state.tasks.end_all(&match error {
                RecvError::TooLarge => {
                    TaskError::System("there is no memory for a result".into())
                }
                _ => TaskError::Broken,
            });
            // Nobody will receive what it sends.
            end(supervisor);
        }
        // If an answer is left, the next round decides.
        if state.tasks.has_suspects() && answers.is_empty() {
            judge_suspects(shared, &mut state.tasks);
        }
        true
    }

    /// Cancels those of the tasks that have not ended: a worker that has one drops it.
    /// Returns whether any was cancelled.
    pub(super) fn cancel(&self, tickets: &[Ticket]) -> bool {
        if !self.is_owner() {
            return false;
        }
        let (mut state, _) = self.wait(Some(Instant::now()), |_| false);
        let mut cancelled = false;
        for &ticket in tickets {
            let Some(task) = state.tasks.unended(ticket) else {
                continue;
            };
            match &self.workers {
                Workers::Local { shared, .. } => shared.cancel(task),
                #[cfg(feature = "broker")]
                Workers::Elsewhere(client) => client.cancel(task.number),
            }
            state.tasks.end(ticket, || Err(TaskError::Cancelled));
            cancelled = true;
        }
        if cancelled {
            if let Some(supervisor) = self.supervisor() {
                // Fails only if the supervisor has ended, and all workers with it.
                supervisor.notify(CHECK_SLOTS).ok();
            }
            self.announce(state);
        }
        cancelled
    }

    /// Has every waiting thread look again, after a change of the state that no message
    /// has brought. The thread that is receiving would sleep on, since it looks at the
    /// state only after a message, and so it is sent one.
    pub(super) fn announce(&self, state: MutexGuard<'_, State>) {
        self.notify(&state);
        let leader = state.leader;
        drop(state);
        if let Workers::Local { shared, .. } = &self.workers
            && leader != Leader::None
        {
            let message = Answer::Wake.encode();
            // A zero timeout is enough: if the channel is locked that long, the holder's
            // message will wake the receiver anyway.
            let soon = Deadline::after(Duration::ZERO);
            shared.send_notice(&message, soon).ok();
        }
    }

    /// Has the threads look again that wait on `changed`.
    pub(super) fn notify(&self, state: &State) {
        // Notifying costs a system call even if no thread waits.
        if state.followers > 0 {
            self.changed.notify_all();
        }
    }

    /// Makes sure that a thread calls the callbacks, and that it knows of those that can
    /// be called already.
    pub(super) fn start_callbacks(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
    ) {
        if state.tasks.callbacks.has_thread() {
            if !state.tasks.callbacks.is_empty() {
                self.announce(state);
            }
            return;
        }
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name("pool callbacks".into());
        // If no thread can be started, the thread that joins the pool calls them.
        if let Ok(thread) = thread.spawn(move || this.run_callbacks()) {
            let id = thread.thread().id();
            state.tasks.callbacks.set_thread(Some(id));
        }
    }

    /// Calls callbacks, one after the other as they come, until all have returned.
    fn run_callbacks(&self) {
        loop {
            let (mut state, _) = self.wait(None, |tasks| {
                !tasks.callbacks.is_empty() || tasks.callbacks.all_returned()
            });
            let Some((callback, outcome)) = state.tasks.callbacks.pop() else {
                state.tasks.callbacks.set_thread(None);
                self.notify(&state);
                return;
            };
            drop(state);
            callbacks::catch(|| callback(outcome));
            self.lock().tasks.callbacks.returned();
        }
    }

    /// Makes sure that a thread receives answers and wakes futures. Returns whether there
    /// is one.
    pub(super) fn start_wakers(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
    ) -> bool {
        if state.tasks.wakers.has_thread() {
            return true;
        }
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name("pool futures".into());
        let started = thread.spawn(move || this.run_wakers()).is_ok();
        state.tasks.wakers.set_thread(started);
        started
    }

    /// Wakes futures as their tasks end, until none waits.
    fn run_wakers(&self) {
        loop {
            let (mut state, _) = self.wait(None, |tasks| tasks.wakers.is_due());
            let wakers = state.tasks.wakers.take();
            if wakers.is_empty() {
                state.tasks.wakers.set_thread(false);
                self.notify(&state);
                return;
            }
            drop(state);
            for waker in wakers {
                callbacks::catch(|| waker.wake());
            }
        }
    }

    /// Takes no more tasks, and lets the workers end when they have done what there is.
    pub(super) fn close(&self) {
        if !self.is_owner() {
            return;
        }
        let mut state = self.lock();
        let was_open = state.tasks.state == PoolState::Open;
        state.tasks.close();
        if was_open {
            match &self.workers {
                Workers::Local { shared, .. } => {
                    shared.close();
                    // What the supervisor sends at its end is for those that wait.
                    if !state.tasks.any_in_flight() {
                        state.tasks.shut_down();
                    }
                }
                #[cfg(feature = "broker")]
                Workers::Elsewhere(client) => self.end_if_done(client, &mut state),
            }
        }
    }

    /// Ends every task, and the supervisor with all workers.
    pub(super) fn terminate(&self) {
        if !self.is_owner() {
            return;
        }
        let mut state = self.lock();
        let callbacks = state.tasks.forget_callbacks();
        state.tasks.terminate();
        match &self.workers {
            Workers::Local { supervisor, .. } => end(supervisor),
            #[cfg(feature = "broker")]
            Workers::Elsewhere(client) => client.cancel_all(),
        }
        self.announce(state);
        // When the state is unlocked: they are the program's, and may do anything.
        drop(callbacks);
    }

    /// Waits until every task has ended, every callback has returned, and the supervisor
    /// and all workers are gone. Returns whether that was in time.
    pub(super) fn join(&self, until: Option<Instant>) -> Result<bool, PoolError> {
        if !self.is_owner() {
            let Some(supervisor) = self.supervisor() else {
                return Err(crate::process::ProcessError::NotAChild.into());
            };
            return Ok(supervisor.join().map(|()| true)?);
        }
        // What has ended the pool may be unknown until somebody looks.
        let (state, _) = self.wait(Some(Instant::now()), |_| false);
        if state.tasks.callbacks.is_this_thread() {
            return Err(PoolError::JoinInCallback);
        }
        match &state.tasks.state {
            PoolState::Open => return Err(PoolError::StillRunning),
            PoolState::Failed(error) => {
                return Err(PoolError::Failed(error.clone()));
            }
            PoolState::Closed | PoolState::Over(_) => {}
        }
        drop(state);
        if self.wait_for_all(until) == Waited::TimedOut {
            return Ok(false);
        }
        let Some(supervisor) = self.supervisor() else {
            return Ok(true);
        };
        Ok(match until {
            None => supervisor.join().map(|()| true),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                supervisor.join_timeout(left)
            }
        }?)
    }

    /// Waits until every task has ended and every callback has returned.
    fn wait_for_all(&self, until: Option<Instant>) -> Waited {
        let waited = self.wait(until, |tasks| {
            let callbacks = &tasks.callbacks;
            tasks.is_over() && (callbacks.all_returned() || !callbacks.has_thread())
        });
        let (state, Waited::Done) = waited else {
            return Waited::TimedOut;
        };
        drop(state);
        // There are none, unless no thread could be started for them.
        self.run_callbacks();
        Waited::Done
    }

    /// Ends the pool when it is dropped.
    pub(super) fn shut_down(&self) {
        if !self.is_owner() {
            return;
        }
        #[cfg(feature = "broker")]
        if let Workers::Elsewhere(client) = &self.workers {
            self.leave(client);
            return;
        }
        self.terminate();
        // A callback that drops its pool would wait for itself; it ends on its own.
        if !self.lock().tasks.callbacks.is_this_thread() {
            self.wait_for_all(None);
        }
        if let Some(supervisor) = self.supervisor() {
            // Its end is all that is wanted.
            supervisor.join().ok();
        }
    }

    /// None where the workers are elsewhere.
    #[cfg_attr(
        not(feature = "broker"),
        expect(
            clippy::unnecessary_wraps,
            reason = "only a pool over a broker has no supervisor"
        )
    )]
    fn supervisor(&self) -> Option<&ProcessHandle> {
        match &self.workers {
            Workers::Local { supervisor, .. } => Some(supervisor),
            #[cfg(feature = "broker")]
            Workers::Elsewhere(_) => None,
        }
    }
}

/// Ends the supervisor with all workers, even if it has been stopped.
fn end(supervisor: &ProcessHandle) {
    // Both fail only if it has ended already.
    supervisor.terminate().ok();
    supervisor.notify(Signal::SIGCONT).ok();
}

#[inline]
fn apply(shared: &PoolShared, tasks: &mut TaskTable, message: &mut Vec<u8>) {
    if let Some(task) = Answer::task_with_value(message) {
        return tasks.land(task, || Ok(Payload::of_answer(message)));
    }
    match Answer::decode(message) {
        Some(Answer::Ended(task, outcome)) => tasks.land(task, || outcome),
        Some(Answer::Skipped(task)) => tasks.skip(task),
        Some(Answer::PerhapsLost(task, error)) => {
            if shared.is_taken(task) {
                tasks.suspect(task, error);
            }
        }
        Some(Answer::Ready) => tasks.ready = true,
        Some(Answer::Unusable(error)) => {
            tasks.end_all(&match error {
                TaskError::Initializer(_) | TaskError::System(_) => error,
                other => TaskError::Initializer(other.to_string()),
            });
        }
        Some(Answer::Shutdown) => tasks.shut_down(),
        Some(Answer::Wake) | None => {}
    }
}

/// See [Which tasks are lost](self#which-tasks-are-lost).
fn judge_suspects(shared: &PoolShared, tasks: &mut TaskTable) {
    tasks.judge_suspects(
        |task| shared.slots().any(|s| s.state().task() == Some(task)),
        || shared.answers.is_empty(),
    );
}

/// Takes the outcome of a task that has ended.
#[inline]
pub(super) fn taken(tasks: &mut TaskTable, ticket: Ticket) -> Outcome {
    // A task that is not in the table was refused in a fork of the owner.
    tasks.take(ticket).unwrap_or(Err(TaskError::Broken))
}

#[cfg(test)]
mod tests {
    use super::super::message::{TaskHeader, append_value, begin_answer};
    use super::super::shared::WorkerState;
    use super::*;
    use crate::process::current_process;

    const KILLED: TaskError = TaskError::Killed { signal: 9 };

    /// The tests are its supervisor and its workers.
    fn dispatcher() -> Dispatcher {
        Dispatcher::new(Workers::Local {
            shared: PoolShared::new(2).unwrap(),
            supervisor: current_process(),
        })
    }

    fn shared(dispatcher: &Dispatcher) -> &PoolShared {
        match &dispatcher.workers {
            Workers::Local { shared, .. } => shared,
            #[cfg(feature = "broker")]
            Workers::Elsewhere(_) => unreachable!(),
        }
    }

    fn submit(dispatcher: &Dispatcher) -> TaskId {
        let mut message = TaskMessage::new(None);
        let routine = Routine::from_word(0);
        let sent =
            dispatcher.submit(shared(dispatcher), routine, &mut message, None);
        dispatcher.lock().tasks.unended(sent.unwrap()).unwrap()
    }

    /// Takes a task out of the channel, as a worker.
    fn take(dispatcher: &Dispatcher) -> TaskId {
        let mut message = Vec::new();
        let tasks = &shared(dispatcher).tasks;
        let taken = tasks.recv(&mut message, Deadline::Never, || false, |_| ());
        taken.unwrap();
        TaskHeader::decode(&message).unwrap().0.task
    }

    fn send(dispatcher: &Dispatcher, message: &[u8]) {
        let answers = &shared(dispatcher).answers;
        answers.send(message, Deadline::Never).unwrap();
    }

    /// Sends an answer with a value, as a worker.
    fn answer(dispatcher: &Dispatcher, task: TaskId) {
        let mut message = Vec::new();
        begin_answer(task, &mut message);
        append_value(&mut message, |_| Ok(()));
        send(dispatcher, &message);
    }

    fn report_perhaps_lost(dispatcher: &Dispatcher, task: TaskId) {
        let message = Answer::PerhapsLost(task, KILLED).encode();
        send(dispatcher, &message);
    }

    /// How the task has ended, if it has according to all that was sent.
    fn end(dispatcher: &Dispatcher, task: TaskId) -> Option<Result<(), TaskError>> {
        let (state, _) = dispatcher.wait(Some(Instant::now()), |_| false);
        let outcome = state.tasks.outcome(task.ticket).cloned();
        outcome.map(|outcome| outcome.map(|_value| ()))
    }

    #[test]
    fn a_task_that_is_still_in_the_channel_is_not_lost() {
        let dispatcher = dispatcher();
        let task = submit(&dispatcher);
        report_perhaps_lost(&dispatcher, task);
        assert_eq!(end(&dispatcher, task), None);
        assert_eq!(take(&dispatcher), task);
        assert_eq!(end(&dispatcher, task), None);
        answer(&dispatcher, task);
        assert_eq!(end(&dispatcher, task), Some(Ok(())));
    }

    #[test]
    fn a_task_that_was_taken_and_is_in_no_slot_is_lost() {
        let dispatcher = dispatcher();
        let (task, other) = (submit(&dispatcher), submit(&dispatcher));
        assert_eq!(take(&dispatcher), task);
        shared(&dispatcher).slot(1).set(WorkerState::Taking(other));
        report_perhaps_lost(&dispatcher, task);
        assert_eq!(end(&dispatcher, task), Some(Err(KILLED)));
        assert_eq!(end(&dispatcher, other), None);
    }

    #[test]
    fn a_task_in_another_slot_belongs_to_that_worker() {
        let states = [
            WorkerState::Taking,
            WorkerState::Running,
            WorkerState::Answering,
            WorkerState::Killing,
        ];
        for state in states {
            let dispatcher = dispatcher();
            let task = submit(&dispatcher);
            assert_eq!(take(&dispatcher), task);
            shared(&dispatcher).slot(1).set(state(task));
            report_perhaps_lost(&dispatcher, task);
            assert_eq!(end(&dispatcher, task), None);
            shared(&dispatcher).slot(1).set(WorkerState::Idle);
            assert_eq!(end(&dispatcher, task), None, "its answer is to come");
            answer(&dispatcher, task);
            assert_eq!(end(&dispatcher, task), Some(Ok(())));
        }
    }

    #[test]
    fn nothing_is_lost_while_an_answer_is_still_to_be_received() {
        let dispatcher = dispatcher();
        let task = submit(&dispatcher);
        assert_eq!(take(&dispatcher), task);
        report_perhaps_lost(&dispatcher, task);
        answer(&dispatcher, task);
        assert_eq!(end(&dispatcher, task), Some(Ok(())));

        // An answer that has come since the channel was seen empty.
        let task = submit(&dispatcher);
        assert_eq!(take(&dispatcher), task);
        let mut state = dispatcher.lock();
        state.tasks.suspect(task, KILLED);
        answer(&dispatcher, task);
        judge_suspects(shared(&dispatcher), &mut state.tasks);
        drop(state);
        assert_eq!(end(&dispatcher, task), Some(Ok(())));
    }

    #[test]
    fn a_shutdown_hides_no_loss() {
        let dispatcher = dispatcher();
        let (lost, closed) = (submit(&dispatcher), submit(&dispatcher));
        assert_eq!(take(&dispatcher), lost);
        dispatcher.lock().tasks.state = PoolState::Closed;
        report_perhaps_lost(&dispatcher, lost);
        send(&dispatcher, &Answer::Shutdown.encode());
        assert_eq!(end(&dispatcher, lost), Some(Err(KILLED)));
        assert_eq!(end(&dispatcher, closed), Some(Err(TaskError::Closed)));
    }

    #[test]
    fn a_thread_that_waits_for_many_also_comes_for_those_of_another() {
        let dispatcher = dispatcher();
        let task = submit(&dispatcher);
        // As if another thread slept until many have come.
        let sleep = || {
            dispatcher.lock().leader = Leader::Several;
            shared(&dispatcher).want_answers(7);
        };
        let soon = || Some(Instant::now() + Duration::from_millis(1));
        sleep();
        let (state, waited) = dispatcher.wait(soon(), |_| false);
        assert_eq!(waited, Waited::TimedOut);
        assert_eq!(state.leader, Leader::Any);
        drop(state);
        sleep();
        answer(&dispatcher, task);
        assert_eq!(end(&dispatcher, task), Some(Ok(())), "it has come");
    }

    #[test]
    fn the_ticket_of_a_cancelled_task_is_good_for_another() {
        let dispatcher = dispatcher();
        let task = submit(&dispatcher);
        assert!(dispatcher.cancel(&[task.ticket]));
        assert!(shared(&dispatcher).is_cancelled(task));
        dispatcher.lock().tasks.take(task.ticket);
        assert_eq!(take(&dispatcher), task);
        send(&dispatcher, &Answer::Skipped(task).encode());
        assert_eq!(end(&dispatcher, task), None);
        assert_eq!(submit(&dispatcher).ticket, task.ticket);
        // When the message numbers have wrapped, the new task might have this id.
        assert!(!shared(&dispatcher).is_cancelled(task));
    }
}
