//! The memory that a pool's parent, supervisor and workers share.
//!
//! Tasks go to the workers through one channel, and answers come back through another.
//! Beside the channels lies a block with a slot for each worker, which says what the
//! worker is doing. A worker writes the id of a task into its slot *before* it takes the
//! task from the channel. So wherever the worker is killed, its slot names the one task
//! that may have gone with it; the [`Dispatcher`](super::dispatcher::Dispatcher) decides
//! whether it has.

use serde::{Deserialize, Serialize};

use super::error::PoolError;
use super::message::{MAX_TICKETS, TaskId, Ticket};
use crate::channel::{Channel, Ring, SendError};
use crate::error::Error;
use crate::registry::RegistryId;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::futex::{self, Deadline, Slept};
use crate::sys::segment::{Shared, shareable};
use crate::wait::{EventCount, Spin, SpinLimits};

/// What a worker is doing. The [module `pool`](super) has a table of the transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerState {
    /// It has no task: it sleeps, or looks for one.
    Idle,
    /// It runs the initializer; or it cannot go on at all.
    Initializing,
    /// It is taking this task, which may still be in the channel, for another to take.
    Taking(TaskId),
    /// It runs this task.
    Running(TaskId),
    /// It is sending this task's answer, or has just sent it.
    Answering(TaskId),
    /// The supervisor is about to kill it because of this task, which it must not
    /// answer any more.
    Killing(TaskId),
}

impl WorkerState {
    /// The task that the worker has, or may have.
    pub(super) fn task(self) -> Option<TaskId> {
        match self {
            Self::Idle | Self::Initializing => None,
            Self::Taking(task)
            | Self::Running(task)
            | Self::Answering(task)
            | Self::Killing(task) => Some(task),
        }
    }

    fn to_word(self) -> u64 {
        let kind: u64 = match self {
            Self::Idle => 0,
            Self::Initializing => 1,
            Self::Taking(_) => 2,
            Self::Running(_) => 3,
            Self::Answering(_) => 4,
            Self::Killing(_) => 5,
        };
        kind << TaskId::BITS | self.task().map_or(0, TaskId::to_word)
    }

    fn from_word(word: u64) -> Self {
        let task = TaskId::from_word(word);
        match word >> TaskId::BITS {
            1 => Self::Initializing,
            2 => Self::Taking(task),
            3 => Self::Running(task),
            4 => Self::Answering(task),
            5 => Self::Killing(task),
            _ => Self::Idle,
        }
    }
}

shareable! {
    /// At the start of the block. The slots follow, then a word for each ticket.
    pub(super) struct SharedHeader {
        /// Idle workers sleep here.
        work: EventCount,
        /// The parent's thread that waits for answers sleeps here.
        answered: EventCount,
        spinner: Spinner,
        seldom: SeldomWritten,
    }
}

shareable! {
    #[repr(align(128))]
    struct Spinner {
        /// The number of the slot, plus one, of the worker that spins instead of
        /// sleeping; 0 for none. Nobody need be woken for a task while it does. One
        /// spinner is enough: with more workers than processors, others would only take
        /// time from those that work.
        slot: AtomicU32,
    }
}

shareable! {
    /// What all look at often and nobody writes often.
    #[repr(align(128))]
    struct SeldomWritten {
        /// 1 once no task will be added.
        closing: AtomicU32,
        /// The number of answers sent, since the pool began, at which the parent is to be
        /// woken; [`ANY`] if by the next one. It wraps.
        wanted: AtomicU32,
    }
}

/// The parent is to be woken by the next answer.
const ANY: u32 = 0;

/// The parent is to be woken when answers of so many bytes wait for it, however many it
/// wants.
const MANY_BYTES: usize = 1 << 17;

/// The words of a slot. Each slot has cache lines of its own.
const SLOT_WORDS: usize = 16;

/// What one worker says of itself, and the supervisor of it.
pub(super) struct WorkerSlot<'a> {
    state: &'a AtomicU64,
    /// When the task must have ended, in nanoseconds of the monotonic clock, which all
    /// processes share; 0 for no limit.
    deadline: &'a AtomicU64,
    /// The worker's id in the registry, by which the locks that it died with are found;
    /// 0 while there is no worker.
    registry_id: &'a AtomicU64,
    /// Its process id, for whoever shows what runs where.
    pid: &'a AtomicU64,
}

impl WorkerSlot<'_> {
    pub(super) fn state(&self) -> WorkerState {
        // Acquire: what the worker sent before it wrote this can be received.
        WorkerState::from_word(self.state.load(Ordering::Acquire))
    }

    pub(super) fn set(&self, state: WorkerState) {
        self.state.store(state.to_word(), Ordering::Release);
    }

    /// The task is about to run, if it is not [cancelled](PoolShared::is_cancelled).
    pub(super) fn set_running(&self, task: TaskId) {
        // SeqCst: see `PoolShared::cancel`.
        let running = WorkerState::Running(task).to_word();
        self.state.swap(running, Ordering::SeqCst);
    }

    /// Changes from running this task to another state. Fails if the worker no longer
    /// runs it, or the supervisor has decided to kill the worker.
    pub(super) fn leave_running(&self, task: TaskId, then: WorkerState) -> bool {
        let (acq_rel, acquire) = (Ordering::AcqRel, Ordering::Acquire);
        let running = WorkerState::Running(task).to_word();
        self.state
            .compare_exchange(running, then.to_word(), acq_rel, acquire)
            .is_ok()
    }

    /// The nanoseconds until the task must have ended; nothing if it has no limit.
    pub(super) fn time_left(&self) -> Option<u64> {
        match self.deadline.load(Ordering::Relaxed) {
            0 => None,
            deadline => Some(deadline.saturating_sub(now())),
        }
    }

    /// The task that runs next must end within `limit` nanoseconds.
    pub(super) fn set_time_limit(&self, limit: u64) {
        let deadline = now().saturating_add(limit);
        self.deadline.store(deadline, Ordering::Relaxed);
    }

    pub(super) fn clear_time_limit(&self) {
        self.deadline.store(0, Ordering::Relaxed);
    }

    pub(super) fn registry_id(&self) -> RegistryId {
        self.registry_id.load(Ordering::Acquire) as RegistryId
    }

    pub(super) fn set_registry_id(&self, id: RegistryId) {
        self.registry_id.store(id.into(), Ordering::Release);
    }

    #[cfg(feature = "broker")]
    pub(super) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed) as u32
    }

    pub(super) fn set_pid(&self, pid: u32) {
        self.pid.store(pid.into(), Ordering::Relaxed);
    }
}

/// The monotonic clock in nanoseconds.
fn now() -> u64 {
    futex::now().as_nanos() as u64
}

/// One process's handles to all that is shared.
pub(super) struct PoolShared {
    block: Shared<SharedHeader>,
    pub(super) processes: usize,
    pub(super) tasks: Channel,
    pub(super) answers: Channel,
    /// How long this process spins: a worker for work, the parent for an answer.
    spin: Spin,
}

/// The bytes of a ticket's word.
const TICKET_BYTES: usize = size_of::<u64>();

/// The number of tickets whose words get their memory at a time.
pub(super) const TICKETS_AT_A_TIME: u32 = 1 << 12;

/// In a ticket's word, beside the number of the task: the task is cancelled.
const CANCELLED: u64 = 1 << 32;

impl PoolShared {
    pub(super) fn new(processes: usize) -> Result<Self, PoolError> {
        // A size that no number holds is refused by the system as the largest number is.
        let slots = processes.saturating_mul(SLOT_WORDS * size_of::<u64>());
        let tail = slots.saturating_add(MAX_TICKETS as usize * TICKET_BYTES);
        let header = SharedHeader {
            work: EventCount::new(),
            answered: EventCount::new(),
            spinner: Spinner {
                slot: AtomicU32::new(0),
            },
            seldom: SeldomWritten {
                closing: AtomicU32::new(0),
                wanted: AtomicU32::new(ANY),
            },
        };
        let block = Shared::sparse(header, tail)?;
        block.take_space(0..slots)?;
        let (tasks, answers) = (Channel::new(0)?, Channel::new(0)?);
        Ok(Self::over(block, processes, tasks, answers))
    }

    fn over(
        block: Shared<SharedHeader>,
        processes: usize,
        tasks: Channel,
        answers: Channel,
    ) -> Self {
        Self {
            block,
            processes,
            tasks,
            answers,
            spin: Spin::new(SpinLimits::AT_MEMORY),
        }
    }

    pub(super) fn slot(&self, index: usize) -> WorkerSlot<'_> {
        let words = &self.block.tail()[index * SLOT_WORDS..];
        WorkerSlot {
            state: &words[0],
            deadline: &words[1],
            registry_id: &words[2],
            pid: &words[3],
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = WorkerSlot<'_>> {
        (0..self.processes).map(|index| self.slot(index))
    }

    /// Allocates the words of the [`TICKETS_AT_A_TIME`] tickets from `first` on.
    pub(super) fn allocate_tickets(&self, first: Ticket) -> Result<(), Error> {
        let slots = self.processes * SLOT_WORDS * size_of::<u64>();
        let start = slots + first as usize * TICKET_BYTES;
        let end = start + TICKETS_AT_A_TIME as usize * TICKET_BYTES;
        self.block.take_space(start..end)
    }

    fn ticket_word(&self, ticket: Ticket) -> &AtomicU64 {
        &self.block.tail()[self.processes * SLOT_WORDS + ticket as usize]
    }

    /// Tells the worker that has the task, or takes it, not to run it.
    pub(super) fn cancel(&self, task: TaskId) {
        let word = CANCELLED | u64::from(task.number);
        // SeqCst, as are a worker's `set_running` and its look here after that: either
        // the worker sees this, or a process that looks at its slot after this sees the
        // task there.
        self.ticket_word(task.ticket).store(word, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Before the ticket is given to a task. Message numbers wrap: one day ticket and
    /// number together would name a task that nobody has cancelled.
    pub(super) fn forget_cancelled(&self, ticket: Ticket) {
        // A worker that takes the new task sees this, which is written before it is sent.
        // Workers have the words around it in their caches, and mostly it is 0 already.
        let word = self.ticket_word(ticket);
        if word.load(Ordering::Relaxed) != 0 {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Whether this task, which is in a worker's slot already, is cancelled.
    pub(super) fn is_cancelled(&self, task: TaskId) -> bool {
        self.ticket_word(task.ticket).load(Ordering::SeqCst)
            == CANCELLED | u64::from(task.number)
    }

    /// Whether a worker has taken the task out of the channel.
    pub(super) fn is_taken(&self, task: TaskId) -> bool {
        self.tasks.taken().wrapping_sub(task.number).cast_signed() > 0
    }

    /// Says that no task will be added, and wakes all workers.
    pub(super) fn close(&self) {
        self.block.seldom.closing.store(1, Ordering::Release);
        self.block.work.notify_unconditionally(u32::MAX);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.block.seldom.closing.load(Ordering::Acquire) != 0
    }

    /// Whether a worker without a task has something to do.
    fn has_work(&self) -> bool {
        !self.tasks.is_empty() || self.is_closing()
    }

    /// Wakes a worker for a task that was just sent, unless one is spinning for it.
    #[inline]
    pub(super) fn wake_worker(&self) {
        // Pairs with the fence in `stop_spinning`: either the spinner sees the task
        // after it has stopped, or this sees that it has.
        fence(Ordering::SeqCst);
        // Asked first, since the other words are written with every task. The spinner may
        // have taken the task by now.
        if self.block.work.may_have_sleepers()
            && self.block.spinner.slot.load(Ordering::Relaxed) == 0
            && !self.tasks.is_empty()
        {
            self.block.work.notify_latest_relaxed();
        }
    }

    /// Wakes another worker if there are more tasks than the calling worker can take.
    #[inline]
    pub(super) fn wake_another(&self) {
        if self.block.work.may_have_sleepers() && !self.tasks.is_empty() {
            self.wake_worker();
        }
    }

    /// Waits until there is something to do, or for a slice: spins if no other worker
    /// does, and then sleeps.
    pub(super) fn wait_for_work(&self, slot: usize) -> Slept {
        if self.start_spinning(slot) {
            let work = || self.has_work().then_some(());
            // It remains the spinner until it has taken what it found.
            if self.spin.until(work).is_some() {
                return Slept::Woken;
            }
            self.stop_spinning(slot);
            if self.has_work() {
                return Slept::Woken;
            }
        }
        let sleepers = &self.block.work;
        self.spin
            .sleep(|| sleepers.sleep_as(slot, || self.has_work(), Deadline::Never))
    }

    /// Makes this worker the spinner, unless another is. Returns whether it is.
    ///
    /// While a worker is spinning, submitters wake nobody. The spinner must therefore
    /// look at the channel promptly, and call [`stop_spinning`](Self::stop_spinning)
    /// before it does anything else.
    #[inline]
    pub(super) fn start_spinning(&self, slot: usize) -> bool {
        let me = slot as u32 + 1;
        let spinner = &self.block.spinner.slot;
        let relaxed = Ordering::Relaxed;
        match spinner.load(relaxed) {
            0 => spinner.compare_exchange(0, me, relaxed, relaxed).is_ok(),
            other => other == me,
        }
    }

    /// This worker is not the spinner any more. It must look at the channel once again
    /// after this, for a task that nobody was woken for.
    #[inline]
    pub(super) fn stop_spinning(&self, slot: usize) {
        let spinner = &self.block.spinner.slot;
        if spinner.load(Ordering::Relaxed) == slot as u32 + 1 {
            spinner.store(0, Ordering::Relaxed);
            // Pairs with the fence in `wake_worker`.
            fence(Ordering::SeqCst);
        }
    }

    /// After the death of this slot's worker: releases the locks that it held, and wakes
    /// another worker, for the dead one may just have been woken for a task.
    pub(super) fn reclaim(&self, slot: usize) {
        let dead = self.slot(slot).registry_id();
        if dead != 0 {
            self.tasks.reclaim(dead);
            self.answers.reclaim(dead);
        }
        let me = slot as u32 + 1;
        let relaxed = Ordering::Relaxed;
        let spinner = &self.block.spinner.slot;
        // Fails if the dead worker was not the spinner.
        spinner.compare_exchange(me, 0, relaxed, relaxed).ok();
        self.block.work.notify_unconditionally(1);
    }

    /// Sends an answer, and wakes the parent if it waits for no more than this one.
    pub(super) fn send_answer(&self, answer: &[u8]) -> Result<(), SendError> {
        self.answers.send(answer, Deadline::Never)?;
        // Pairs with the fence in `want_answers` and with that of the sleeper: either the
        // parent sees this answer before it sleeps, or this sees what it waits for.
        fence(Ordering::SeqCst);
        let answered = &self.block.answered;
        // One has just been sent, which is enough if any is wanted.
        if answered.may_have_sleepers()
            && self.has_enough_answers(self.answers.sent().wrapping_sub(1))
        {
            answered.notify_one_relaxed();
        }
        Ok(())
    }

    /// Sends a message that is more than the answer to one task, and wakes the parent
    /// however many it waits for.
    pub(super) fn send_notice(
        &self,
        notice: &[u8],
        deadline: Deadline,
    ) -> Result<(), SendError> {
        self.answers.send(notice, deadline)?;
        // Pairs with the fence in `want_answers`: if that comes later, and overwrites
        // this, the parent sees the notice.
        fence(Ordering::SeqCst);
        self.want_any_answer();
        self.block.answered.notify_unconditionally(u32::MAX);
        Ok(())
    }

    /// From now on the parent is to be woken when `more` further answers have been sent
    /// than it has received. It must look at the channel once again after this.
    pub(super) fn want_answers(&self, more: u32) {
        let wanted = self.answers.taken().wrapping_add(more);
        // If it is `ANY`, the parent is woken too early.
        self.block.seldom.wanted.store(wanted, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// From now on the parent is to be woken by any answer.
    pub(super) fn want_any_answer(&self) {
        self.block.seldom.wanted.store(ANY, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Whether as many answers have been sent as the parent waits for, which had received
    /// `received` when it began to wait. Another of its threads may have received them.
    fn has_enough_answers(&self, received: u32) -> bool {
        let sent = self.answers.sent();
        match self.block.seldom.wanted.load(Ordering::Relaxed) {
            ANY => sent != received,
            wanted => {
                sent.wrapping_sub(wanted).cast_signed() >= 0
                    || self.answers.bytes() >= MANY_BYTES
            }
        }
    }

    /// Waits until as many answers have been sent as the parent wants, which has received
    /// `received`; or for a slice, or until the deadline.
    pub(super) fn wait_for_answers(
        &self,
        received: u32,
        deadline: Deadline,
        spins: bool,
    ) -> Slept {
        let enough = || self.has_enough_answers(received);
        let found = || enough().then_some(());
        if spins && self.spin.until_deadline(deadline, found).is_some() {
            return Slept::Woken;
        }
        self.spin
            .sleep(|| self.block.answered.sleep_unless(enough, deadline))
    }
}

/// What a spawned supervisor is sent of a [`PoolShared`].
#[derive(Serialize, Deserialize)]
pub(super) struct SpawnedPool {
    block: Shared<SharedHeader>,
    processes: usize,
    tasks: Shared<Ring>,
    answers: Shared<Ring>,
}

impl From<&PoolShared> for SpawnedPool {
    fn from(shared: &PoolShared) -> Self {
        Self {
            block: shared.block.clone(),
            processes: shared.processes,
            tasks: shared.tasks.ring().clone(),
            answers: shared.answers.ring().clone(),
        }
    }
}

impl From<SpawnedPool> for PoolShared {
    fn from(sent: SpawnedPool) -> Self {
        let (tasks, answers) =
            (Channel::over(sent.tasks), Channel::over(sent.answers));
        Self::over(sent.block, sent.processes, tasks, answers)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Whether this wakes a worker that sleeps. On a busy machine some attempts may
    /// sleep to the end of their slice first.
    fn wakes(what: impl Fn(&PoolShared)) -> bool {
        (0..20).any(|_| wakes_at_once(&what))
    }

    fn wakes_at_once(what: impl Fn(&PoolShared)) -> bool {
        let shared = PoolShared::new(2).unwrap();
        thread::scope(|s| {
            let work = &shared.block.work;
            let sleep = || work.sleep_as(1, || false, Deadline::Never);
            let sleeper = s.spawn(sleep);
            thread::sleep(Duration::from_millis(10));
            what(&shared);
            sleeper.join().unwrap() == Slept::Woken
        })
    }

    fn send_task(shared: &PoolShared) {
        shared.tasks.send(b"task", Deadline::Never).unwrap();
    }

    #[test]
    fn nobody_is_woken_for_a_task_that_the_spinner_sees() {
        assert!(!wakes_at_once(|shared| {
            assert!(shared.start_spinning(0));
            assert!(!shared.start_spinning(1), "there is a spinner already");
            send_task(shared);
            shared.wake_worker();
        }));
    }

    #[test]
    fn a_worker_is_woken_for_a_task_that_the_spinner_leaves() {
        assert!(wakes(|shared| {
            assert!(shared.start_spinning(0));
            send_task(shared);
            shared.stop_spinning(0);
            shared.wake_another();
        }));
        assert!(wakes(|shared| {
            send_task(shared);
            shared.wake_worker();
        }));
    }

    /// Which of two workers is woken for a task, of which the second fell asleep last.
    fn first_woken() -> Option<usize> {
        let shared = &PoolShared::new(2).unwrap();
        let (tell, woken) = mpsc::channel();
        thread::scope(|s| {
            for index in 0..2 {
                let tell = tell.clone();
                s.spawn(move || {
                    let work = &shared.block.work;
                    if work.sleep_as(index, || false, Deadline::Never)
                        == Slept::Woken
                    {
                        tell.send(index).unwrap();
                    }
                });
                thread::sleep(Duration::from_millis(10));
            }
            send_task(shared);
            shared.wake_worker();
            let first = woken.recv_timeout(Duration::from_millis(50)).ok();
            shared.close();
            first
        })
    }

    #[test]
    fn the_worker_that_fell_asleep_last_is_woken_first() {
        // On a busy machine the second may fall asleep first, or both sleep too short.
        let second = (0..7).filter(|_| first_woken() == Some(1));
        assert!(second.count() > 3);
    }

    #[test]
    fn another_worker_is_woken_in_the_place_of_a_dead_one() {
        assert!(wakes(|shared| {
            shared.block.spinner.slot.store(1, Ordering::Relaxed);
            shared.wake_worker();
            shared.reclaim(0);
            assert_eq!(shared.block.spinner.slot.load(Ordering::Relaxed), 0);
        }));
        assert!(wakes(|shared| {
            shared.block.work.forget();
            shared.reclaim(0);
        }));
        assert!(wakes(|shared| {
            shared.block.work.mistake_latest(0);
            send_task(shared);
            shared.wake_worker();
        }));
    }

    /// How the parent's wait for two answers ends.
    fn wait_for_two(what: impl Fn(&PoolShared)) -> Slept {
        let shared = PoolShared::new(1).unwrap();
        shared.want_answers(2);
        thread::scope(|s| {
            let sleeper =
                s.spawn(|| shared.wait_for_answers(0, Deadline::Never, false));
            thread::sleep(Duration::from_millis(10));
            what(&shared);
            sleeper.join().unwrap()
        })
    }

    #[test]
    fn the_parent_is_woken_by_as_many_answers_as_it_waits_for() {
        let one = |shared: &PoolShared| shared.send_answer(b"one").unwrap();
        let two = |shared: &PoolShared| {
            one(shared);
            one(shared);
        };
        assert_eq!(wait_for_two(one), Slept::Slice);
        assert!((0..20).any(|_| wait_for_two(two) == Slept::Woken));
    }

    #[test]
    fn the_parent_is_woken_by_answers_of_many_bytes_before_all_have_come() {
        let large = |shared: &PoolShared| {
            shared.send_answer(&vec![0; MANY_BYTES]).unwrap();
        };
        assert!((0..20).any(|_| wait_for_two(large) == Slept::Woken));
    }

    #[test]
    fn the_parent_does_not_sleep_for_what_another_of_its_threads_has_received() {
        let shared = PoolShared::new(1).unwrap();
        let received = shared.answers.taken();
        shared.send_answer(b"one").unwrap();
        let mut message = Vec::new();
        let taken =
            shared
                .answers
                .recv(&mut message, Deadline::Never, || false, |_| ());
        taken.unwrap();
        let slept = shared.wait_for_answers(received, Deadline::Never, false);
        assert_eq!(slept, Slept::Woken);
    }

    #[test]
    fn the_parent_is_woken_by_any_notice() {
        let notice = |shared: &PoolShared| {
            shared.send_notice(b"notice", Deadline::Never).unwrap();
            assert!(shared.has_enough_answers(0), "it does not sleep again");
        };
        assert!((0..20).any(|_| wait_for_two(notice) == Slept::Woken));
    }

    #[test]
    fn closing_wakes_every_sleeper() {
        assert!(wakes(|shared| {
            shared.block.work.forget();
            shared.close();
        }));
    }

    #[test]
    fn a_worker_state_fits_in_one_word() {
        let task = TaskId {
            number: u32::MAX,
            ticket: MAX_TICKETS - 1,
        };
        for state in [
            WorkerState::Idle,
            WorkerState::Initializing,
            WorkerState::Taking(task),
            WorkerState::Running(task),
            WorkerState::Answering(task),
            WorkerState::Killing(task),
        ] {
            assert_eq!(WorkerState::from_word(state.to_word()), state);
        }
    }
}
