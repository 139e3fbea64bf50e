//! The life of a worker.

use std::io::{self, Write};
use std::mem;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

use super::error::TaskError;
use super::message::{Answer, TaskHeader, TaskId, append_error, begin_answer};
use super::plan::{CHECK_SLOTS, Plan};
use super::shared::{PoolShared, WorkerSlot, WorkerState};
use crate::channel::{RecvError, SendError};
use crate::registry::{self, RegistryId};
use crate::sys::exit;
use crate::sys::futex::{Deadline, Slept};

pub(super) struct Worker<'a> {
    shared: &'a PoolShared,
    plan: &'a Plan,
    /// The number of its slot.
    index: usize,
    slot: WorkerSlot<'a>,
    me: RegistryId,
    supervisor: Pid,
}

/// The exit code of a worker whose initializer failed.
const INITIALIZER_FAILED: u8 = 1;

impl<'a> Worker<'a> {
    pub(super) fn new(shared: &'a PoolShared, plan: &'a Plan, index: usize) -> Self {
        let slot = shared.slot(index);
        let me = registry::me();
        slot.set_registry_id(me);
        slot.set_pid(std::process::id());
        Self {
            shared,
            plan,
            index,
            slot,
            me,
            supervisor: getppid(),
        }
    }

    /// Works until there is nothing more to do, or until it has done as many tasks as
    /// it may.
    pub(super) fn work(&self) -> ExitCode {
        if let Err(error) = self.initialize() {
            self.report_unusable(error);
            return ExitCode::from(INITIALIZER_FAILED);
        }
        let (mut message, mut answer) = (Vec::new(), Vec::new());
        let mut done = 0;
        let mut waited = true;
        while self
            .plan
            .maxtasksperchild
            .is_none_or(|most| done < most.get())
            && let Some(task) = self.next(&mut message, &mut waited)
        {
            self.serve(&task, &message, &mut answer, waited);
            done += 1;
            message.shrink_to(KEPT);
            answer.shrink_to(KEPT);
        }
        self.shared.stop_spinning(self.index);
        self.shared.wake_another();
        ExitCode::SUCCESS
    }

    fn initialize(&self) -> Result<(), TaskError> {
        let Some(initializer) = &self.plan.initializer else {
            return Ok(());
        };
        let mut answer = Vec::new();
        begin_answer(TaskId::from_word(0), &mut answer);
        initializer.run(&mut answer);
        self.exit_in_copies();
        if let Some(Answer::Ended(_, Err(error))) = Answer::decode(&mut answer) {
            return Err(error);
        }
        self.slot.set(WorkerState::Idle);
        Ok(())
    }

    /// A task that forks by itself may return in the new process too, which is not a
    /// worker.
    fn exit_in_copies(&self) {
        if registry::me() != self.me {
            exit::exit_now(0);
        }
    }

    /// Reports that there can be no worker. The state must be
    /// [`WorkerState::Initializing`].
    fn report_unusable(&self, error: TaskError) {
        let message = Answer::Unusable(error).encode();
        // If there is no room for it, the supervisor reports the exit of this worker.
        self.shared.send_notice(&message, Deadline::Never).ok();
    }

    /// The next task, whose message is in `message` then; nothing if none will come.
    /// `waited` says whether the last one had to be waited for, and then whether this one
    /// had to.
    fn next(&self, message: &mut Vec<u8>, waited: &mut bool) -> Option<TaskHeader> {
        let tasks = &self.shared.tasks;
        // While there is a backlog, this does not look before it takes: the cache line
        // that says how many there are is the one that submitters write.
        let mut looks = mem::take(waited);
        loop {
            // In this order: a task that was sent before the close is seen.
            let closing = self.shared.is_closing();
            if looks && tasks.is_empty() {
                if closing {
                    return None;
                }
                *waited = true;
                // A worker that changed its user is not killed with its parent.
                if self.shared.wait_for_work(self.index) == Slept::Slice
                    && getppid() != self.supervisor
                {
                    return None;
                }
                continue;
            }
            looks = true;
            let taking = |message: &[u8]| {
                if let Some((header, _)) = TaskHeader::decode(message) {
                    self.slot.set(WorkerState::Taking(header.task));
                }
            };
            // Does not wait for a message: if another worker was faster, there is none.
            match tasks.recv(message, Deadline::Never, || false, taking) {
                Ok(()) => {
                    self.shared.stop_spinning(self.index);
                    self.shared.wake_another();
                    if let Some((header, _)) = TaskHeader::decode(message) {
                        return Some(header);
                    }
                }
                Err(RecvError::Empty | RecvError::Disconnected) => {}
                Err(RecvError::TooLarge) => {
                    // Treated like a failed initializer: a replacement worker would
                    // fail the same way.
                    self.slot.set(WorkerState::Initializing);
                    let why = "there is no memory for the next task";
                    self.report_unusable(TaskError::System(why.into()));
                    return None;
                }
                Err(RecvError::Broken) => return None,
            }
        }
    }

    /// Runs a task, for which this worker has `waited` or not, and sends its answer.
    fn serve(
        &self,
        header: &TaskHeader,
        message: &[u8],
        answer: &mut Vec<u8>,
        waited: bool,
    ) {
        let task = header.task;
        self.begin(header);
        if self.shared.is_cancelled(task) {
            answer.clone_from(&Answer::Skipped(task).encode());
        } else {
            begin_answer(task, answer);
            let args = TaskHeader::decode(message).map_or(&[][..], |(_, args)| args);
            let ran = header.routine.run(args, answer);
            self.exit_in_copies();
            if !ran {
                append_error(answer, &TaskError::Foreign);
            }
            // What the task printed comes out before its end is known. A failure to write
            // is ignored, as there is no one to report it to.
            io::stdout().flush().ok();
        }
        if !self.slot.leave_running(task, WorkerState::Answering(task)) {
            wait_for_the_kill();
        }
        if header.limit.is_some() {
            self.slot.clear_time_limit();
        }
        // If there was a task at once, there will be another.
        if waited && answer.len() <= QUICKLY_SENT {
            // Before the receiver of the answer can send the next task: it then need
            // not wake another worker.
            self.shared.start_spinning(self.index);
        }
        let sent = self.shared.send_answer(answer);
        if let Err(SendError::System(error)) = sent {
            begin_answer(task, answer);
            append_error(answer, &TaskError::result(error));
            // If there is no room even for that, this worker ends, and the supervisor
            // reports that the task was lost with it.
            if self.shared.send_answer(answer).is_err() {
                kill(Pid::this(), Signal::SIGKILL).ok();
            }
        }
        self.slot.set(WorkerState::Idle);
    }

    /// Says in the slot that the task runs.
    fn begin(&self, header: &TaskHeader) {
        let Some(limit) = header.limit else {
            self.slot.set_running(header.task);
            return;
        };
        self.slot.set_time_limit(limit.as_nanos() as u64);
        self.slot.set_running(header.task);
        // The supervisor must look at the clock. If it has ended, so will this process
        // at once.
        if getppid() == self.supervisor {
            kill(self.supervisor, CHECK_SLOTS).ok();
        }
    }
}

/// The supervisor has decided that this worker must go, and is about to kill it.
fn wait_for_the_kill() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// The most bytes of an answer that is sent in no time.
const QUICKLY_SENT: usize = 4096;

/// The bytes of a message buffer that are worth keeping for the next task.
const KEPT: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::super::function::Once;
    use super::super::message::TaskMessage;
    use super::*;
    use crate::sys::routine::Routine;

    fn send_task(shared: &PoolShared, number: u32) {
        let task = TaskId { number, ticket: 0 };
        let mut message = TaskMessage::new(None);
        let message = message.with_header(task, Routine::from_word(0));
        shared.tasks.send(message, Deadline::Never).unwrap();
        shared.wake_worker();
    }

    static PLAN: Plan = Plan {
        initializer: None,
        maxtasksperchild: None,
        name: String::new(),
    };

    /// Whether a worker that spins, and takes one of two tasks, wakes one that sleeps.
    fn wakes_another() -> bool {
        let shared = PoolShared::new(2).unwrap();
        let worker = Worker::new(&shared, &PLAN, 0);
        assert!(shared.start_spinning(0));
        thread::scope(|s| {
            let sleeper = s.spawn(|| shared.wait_for_work(1));
            thread::sleep(Duration::from_millis(10));
            send_task(&shared, 0);
            send_task(&shared, 1);
            let taken = worker.next(&mut Vec::new(), &mut true).unwrap();
            assert_eq!(shared.slot(0).state(), WorkerState::Taking(taken.task));
            sleeper.join().unwrap() == Slept::Woken
        })
    }

    #[test]
    fn a_worker_that_is_about_to_be_killed_sends_no_answer() {
        static SHARED: OnceLock<PoolShared> = OnceLock::new();
        static DECIDED: AtomicBool = AtomicBool::new(false);
        const TASK: TaskId = TaskId {
            number: 7,
            ticket: 0,
        };
        // The supervisor decides while the task runs.
        let task = || {
            let slot = SHARED.get().unwrap().slot(0);
            assert!(slot.leave_running(TASK, WorkerState::Killing(TASK)));
            DECIDED.store(true, Ordering::Relaxed);
        };
        let shared = SHARED.get_or_init(|| PoolShared::new(1).unwrap());
        let header = TaskHeader {
            task: TASK,
            routine: Routine::of::<_, Once<()>>(&task).unwrap(),
            limit: None,
        };
        // Ends with the test program, as the worker does with the kill.
        thread::spawn(move || {
            let message = TaskMessage::new(None)
                .with_header(TASK, header.routine)
                .to_vec();
            let worker = Worker::new(shared, &PLAN, 0);
            worker.serve(&header, &message, &mut Vec::new(), true);
        });
        let start = Instant::now();
        while !DECIDED.load(Ordering::Relaxed) {
            assert!(start.elapsed() < Duration::from_mins(1), "it never ran");
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(50));
        assert!(shared.answers.is_empty());
        assert_eq!(shared.slot(0).state(), WorkerState::Killing(TASK));
    }

    #[test]
    fn a_spinner_that_takes_a_task_wakes_another_worker_for_the_next() {
        // On a busy machine the sleeper may sleep to the end of its slice first.
        assert!((0..20).any(|_| wakes_another()));
    }
}
