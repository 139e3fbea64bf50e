//! What a pool's parent, supervisor and workers share.
//!
//! Tasks go to the workers through one ring and their answers come back through
//! another. Beside the rings lies a board in shared memory, on which each worker has a
//! seat that says what it is doing. A worker writes the number of a task on its seat
//! *before* it takes it from the ring, so wherever it is killed, the seat names the one
//! task that may have gone with it. Whether it did, the parent can tell: see
//! [`Desk`](super::desk::Desk).

use serde::{Deserialize, Serialize};

use super::PoolError;
use crate::channel::{Channel, Ring};
use crate::error::Error;
use crate::registry::RegistryId;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::futex::{Deadline, Slept};
use crate::sys::segment::{Shared, shareable};
use crate::wait::{EventCount, Spin, SpinLimits};

/// A task on its way: the number of the message that carries it (which wraps), and its
/// place in the parent's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskId {
    pub(super) number: u32,
    pub(super) ticket: u32,
}

/// As many tasks as may be on their way at a time.
pub(super) const TICKETS: u32 = 1 << 24;

impl TaskId {
    pub(super) fn to_word(self) -> u64 {
        u64::from(self.ticket) << 32 | u64::from(self.number)
    }

    pub(super) fn from_word(word: u64) -> Self {
        Self {
            number: word as u32,
            ticket: (word >> 32) as u32 % TICKETS,
        }
    }
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nothing, or looking for a task.
    Nothing,
    /// Running the initializer, or unable to go on at all.
    Initializing,
    /// Taking this task: it may still be in the ring, for another to take.
    Taking(TaskId),
    /// Running this task.
    Running(TaskId),
    /// Sending this task's answer, or it has just been sent.
    Answering(TaskId),
    /// It is about to be killed for this task's sake, and may not answer any more.
    Doomed(TaskId),
}

/// Beyond the ticket and the number, in the word that a [`Doing`] makes.
const DOING_BITS: u32 = 32 + TICKETS.trailing_zeros();

impl Doing {
    pub(super) fn to_word(self) -> u64 {
        let (kind, task) = match self {
            Self::Nothing => (0, 0),
            Self::Initializing => (1, 0),
            Self::Taking(task) => (2, task.to_word()),
            Self::Running(task) => (3, task.to_word()),
            Self::Answering(task) => (4, task.to_word()),
            Self::Doomed(task) => (5, task.to_word()),
        };
        kind << DOING_BITS | task
    }

    pub(super) fn from_word(word: u64) -> Self {
        let task = TaskId::from_word(word);
        match word >> DOING_BITS {
            1 => Self::Initializing,
            2 => Self::Taking(task),
            3 => Self::Running(task),
            4 => Self::Answering(task),
            5 => Self::Doomed(task),
            _ => Self::Nothing,
        }
    }
}

shareable! {
    /// At the start of the board; the seats and the list of what is cancelled follow.
    pub(super) struct Board {
        /// Where workers sleep when there is nothing to do.
        bell: EventCount,
        lookout: Lookout,
        /// 1 once no task will be added.
        closing: AtomicU32,
    }
}

shareable! {
    #[repr(align(128))]
    struct Lookout {
        /// 0, or who looks out for tasks instead of sleeping: the worker's seat and
        /// one. While it does, nobody need be woken for a task; one is enough, and with
        /// more workers than processors more would only take time from those who work.
        seat: AtomicU32,
    }
}

/// The words of a seat, which has cache lines of its own.
const SEAT: usize = 16;

/// One worker's place on the board.
pub(super) struct Seat<'a> {
    doing: &'a AtomicU64,
    /// Until when its task may run: the monotonic clock's nanoseconds; 0 for no limit.
    limit: &'a AtomicU64,
    /// Who the worker is, for whatever turn it may have died with.
    member: &'a AtomicU64,
}

impl Seat<'_> {
    pub(super) fn doing(&self) -> Doing {
        // Acquire: what the worker sent before it wrote this is there.
        Doing::from_word(self.doing.load(Ordering::Acquire))
    }

    pub(super) fn set(&self, doing: Doing) {
        self.doing.store(doing.to_word(), Ordering::Release);
    }

    /// From running a task to something else, unless it is doomed or no longer running.
    pub(super) fn leave(&self, task: TaskId, then: Doing) -> bool {
        let (acq_rel, acquire) = (Ordering::AcqRel, Ordering::Acquire);
        let running = Doing::Running(task).to_word();
        self.doing
            .compare_exchange(running, then.to_word(), acq_rel, acquire)
            .is_ok()
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(super) fn member(&self) -> RegistryId {
        self.member.load(Ordering::Acquire) as RegistryId
    }

    pub(super) fn set_member(&self, member: RegistryId) {
        self.member.store(member.into(), Ordering::Release);
    }
}

/// One process's handles to all that is shared.
pub(super) struct Common {
    board: Shared<Board>,
    pub(super) processes: usize,
    pub(super) tasks: Channel,
    pub(super) answers: Channel,
    /// For the looks of the lookout.
    spin: Spin,
}

/// The bytes of one ticket in the list of what is cancelled.
const CANCEL: usize = size_of::<u64>();

/// So many tickets' space is taken at a time.
pub(super) const TICKETS_TAKEN: u32 = 1 << 12;

/// In a ticket's word, beside the number of the task: it is cancelled.
const CANCELLED: u64 = 1 << 32;

impl Common {
    pub(super) fn new(processes: usize) -> Result<Self, PoolError> {
        let seats = processes
            .checked_mul(SEAT * size_of::<u64>())
            .ok_or(PoolError::TooFew)?;
        let board = Board {
            bell: EventCount::new(),
            lookout: Lookout {
                seat: AtomicU32::new(0),
            },
            closing: AtomicU32::new(0),
        };
        let board = Shared::sparse(board, seats + TICKETS as usize * CANCEL)?;
        board.take_space(0..seats)?;
        Ok(Self::over(
            board,
            processes,
            Channel::new(0)?,
            Channel::new(0)?,
        ))
    }

    fn over(
        board: Shared<Board>,
        processes: usize,
        tasks: Channel,
        answers: Channel,
    ) -> Self {
        Self {
            board,
            processes,
            tasks,
            answers,
            spin: Spin::new(SpinLimits::AT_MEMORY),
        }
    }

    pub(super) fn seat(&self, index: usize) -> Seat<'_> {
        let words = &self.board.tail()[index * SEAT..];
        Seat {
            doing: &words[0],
            limit: &words[1],
            member: &words[2],
        }
    }

    pub(super) fn seats(&self) -> impl Iterator<Item = Seat<'_>> {
        (0..self.processes).map(|index| self.seat(index))
    }

    /// Takes the space in the list of what is cancelled of the tickets up to this one,
    /// [`TICKETS_TAKEN`] of them.
    pub(super) fn take_tickets(&self, end: u32) -> Result<(), Error> {
        let seats = self.processes * SEAT * size_of::<u64>();
        let start = (end - TICKETS_TAKEN) as usize * CANCEL;
        let end = end as usize * CANCEL;
        self.board.take_space(seats + start..seats + end)
    }

    fn cancelled(&self, ticket: u32) -> &AtomicU64 {
        &self.board.tail()[self.processes * SEAT + ticket as usize]
    }

    pub(super) fn cancel(&self, task: TaskId) {
        let word = CANCELLED | u64::from(task.number);
        // SeqCst: together with the fence in `is_cancelled`, either the worker sees
        // this, or whoever looks at its seat after this sees the task there.
        self.cancelled(task.ticket).store(word, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Before the ticket of a task that was cancelled is another's. Numbers wrap: one
    /// day the same two would name a task that nobody has cancelled.
    pub(super) fn forget_cancelled(&self, ticket: u32) {
        // Who takes the other task sees this, which was written before it was sent.
        self.cancelled(ticket).store(0, Ordering::Relaxed);
    }

    /// Whether this task, which is on a seat already, is cancelled.
    pub(super) fn is_cancelled(&self, task: TaskId) -> bool {
        fence(Ordering::SeqCst);
        self.cancelled(task.ticket).load(Ordering::Relaxed)
            == CANCELLED | u64::from(task.number)
    }

    pub(super) fn close(&self) {
        self.board.closing.store(1, Ordering::Release);
        self.board.bell.notify_unconditionally(u32::MAX);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.board.closing.load(Ordering::Acquire) != 0
    }

    /// Whether a worker that has no task has something to do.
    fn is_wanted(&self) -> bool {
        !self.tasks.is_empty() || self.is_closing()
    }

    /// Wakes a worker for a task that was just sent, unless one looks out for it.
    #[inline]
    pub(super) fn call_a_worker(&self) {
        // Pairs with the fence in `look_away`: either the lookout sees the task after it
        // has left, or this sees that it has.
        fence(Ordering::SeqCst);
        let lookout = self.board.lookout.seat.load(Ordering::Relaxed);
        // The lookout may have taken it by now.
        if lookout == 0 && !self.tasks.is_empty() {
            self.board.bell.notify_one_relaxed();
        }
    }

    /// Wakes one more worker if there is more to do than for the one that asks.
    #[inline]
    pub(super) fn hand_on(&self) {
        if !self.tasks.is_empty() {
            self.call_a_worker();
        }
    }

    /// Until there is something to do, or for a slice: looks out for it, where nobody
    /// else does, and sleeps.
    pub(super) fn rest(&self, seat: usize) -> Slept {
        if self.look_out(seat) {
            let wanted = || self.is_wanted().then_some(());
            // With something to do it stays the lookout until it has taken it.
            if self.spin.until(wanted).is_some() {
                return Slept::Woken;
            }
            self.look_away(seat);
            if self.is_wanted() {
                return Slept::Woken;
            }
        }
        let bell = &self.board.bell;
        bell.sleep_unless(|| self.is_wanted(), Deadline::Never)
    }

    /// From here on this worker looks out for tasks, unless another does. Returns
    /// whether it is this one. Whoever sends a task wakes nobody then, and so the worker
    /// is to look for one soon, and [`look_away`](Self::look_away) before it does
    /// anything else.
    #[inline]
    pub(super) fn look_out(&self, seat: usize) -> bool {
        let me = seat as u32 + 1;
        let lookout = &self.board.lookout.seat;
        let relaxed = Ordering::Relaxed;
        match lookout.load(relaxed) {
            0 => lookout.compare_exchange(0, me, relaxed, relaxed).is_ok(),
            who => who == me,
        }
    }

    /// SpinLimits out no more. The worker is to look at the ring once more after this, for
    /// a task that nobody was woken for.
    #[inline]
    pub(super) fn look_away(&self, seat: usize) {
        let lookout = &self.board.lookout.seat;
        if lookout.load(Ordering::Relaxed) == seat as u32 + 1 {
            lookout.store(0, Ordering::Relaxed);
            // Pairs with the fence in `call_a_worker`.
            fence(Ordering::SeqCst);
        }
    }

    /// After the death of the worker on this seat: ends its turns, and has another do
    /// what it may just have been woken for.
    pub(super) fn reclaim(&self, seat: usize) {
        let member = self.seat(seat).member();
        if member != 0 {
            self.tasks.reclaim(member);
            self.answers.reclaim(member);
        }
        let me = seat as u32 + 1;
        let relaxed = Ordering::Relaxed;
        let lookout = &self.board.lookout.seat;
        let _if_it_was = lookout.compare_exchange(me, 0, relaxed, relaxed);
        self.board.bell.notify_unconditionally(1);
    }
}

/// What travels to a spawned supervisor.
#[derive(Serialize, Deserialize)]
pub(super) struct SpawnedPool {
    board: Shared<Board>,
    processes: usize,
    tasks: Shared<Ring>,
    answers: Shared<Ring>,
}

impl From<&Common> for SpawnedPool {
    fn from(common: &Common) -> Self {
        Self {
            board: common.board.clone(),
            processes: common.processes,
            tasks: common.tasks.ring().clone(),
            answers: common.answers.ring().clone(),
        }
    }
}

impl From<SpawnedPool> for Common {
    fn from(luggage: SpawnedPool) -> Self {
        let (tasks, answers) = (luggage.tasks, luggage.answers);
        Self::over(
            luggage.board,
            luggage.processes,
            Channel::over(tasks),
            Channel::over(answers),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Whether this wakes a worker that sleeps. A busy machine may let some sleep out
    /// their slice first.
    fn wakes(what: impl Fn(&Common)) -> bool {
        (0..20).any(|_| wakes_at_once(&what))
    }

    fn wakes_at_once(what: impl Fn(&Common)) -> bool {
        let common = Common::new(2).unwrap();
        thread::scope(|s| {
            let bell = &common.board.bell;
            let sleep = || bell.sleep_unless(|| false, Deadline::Never);
            let sleeper = s.spawn(sleep);
            thread::sleep(Duration::from_millis(10));
            what(&common);
            sleeper.join().unwrap() == Slept::Woken
        })
    }

    fn send_task(common: &Common) {
        common.tasks.send(b"task", Deadline::Never).unwrap();
    }

    #[test]
    fn nobody_is_woken_for_a_task_that_the_lookout_sees() {
        assert!(!wakes_at_once(|common| {
            assert!(common.look_out(0));
            assert!(!common.look_out(1), "there is one already");
            send_task(common);
            common.call_a_worker();
        }));
    }

    #[test]
    fn somebody_is_woken_for_a_task_that_the_lookout_leaves() {
        assert!(wakes(|common| {
            assert!(common.look_out(0));
            send_task(common);
            common.look_away(0);
            common.hand_on();
        }));
        assert!(wakes(|common| {
            send_task(common);
            common.call_a_worker();
        }));
    }

    #[test]
    fn what_a_dead_worker_was_to_do_another_is_woken_for() {
        assert!(wakes(|common| {
            common.board.lookout.seat.store(1, Ordering::Relaxed);
            common.call_a_worker();
            common.reclaim(0);
            assert_eq!(common.board.lookout.seat.load(Ordering::Relaxed), 0);
        }));
        assert!(wakes(|common| {
            common.board.bell.forget();
            common.reclaim(0);
        }));
    }

    #[test]
    fn a_close_wakes_whoever_sleeps() {
        assert!(wakes(|common| {
            common.board.bell.forget();
            common.close();
        }));
    }

    #[test]
    fn a_doing_is_one_word() {
        let task = TaskId {
            number: u32::MAX,
            ticket: TICKETS - 1,
        };
        for doing in [
            Doing::Nothing,
            Doing::Initializing,
            Doing::Taking(task),
            Doing::Running(task),
            Doing::Answering(task),
            Doing::Doomed(task),
        ] {
            assert_eq!(Doing::from_word(doing.to_word()), doing);
        }
    }
}
