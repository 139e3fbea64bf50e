//! The life of a worker.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

use super::TaskError;
use super::board::{Common, Doing, Seat, TaskId};
use super::message::{ANSWER_HEADER, AnswerHeader, Kind, TASK_HEADER, TaskHeader};
use super::supervisor::{LOOK, Plan};
use super::task::{Ended, append_error};
use crate::channel::{RecvError, SendError};
use crate::registry::{self, RegistryId};
use crate::sys::exit;
use crate::sys::futex::{Deadline, Slept};

pub(super) struct Worker<'a> {
    common: &'a Common,
    plan: &'a Plan,
    /// Its number on the board.
    index: usize,
    seat: Seat<'a>,
    me: RegistryId,
    supervisor: Pid,
}

/// The exit code of a worker whose initializer failed.
const FAILED: u8 = 1;

impl<'a> Worker<'a> {
    pub(super) fn new(common: &'a Common, plan: &'a Plan, index: usize) -> Self {
        let seat = common.seat(index);
        let me = registry::me();
        seat.set_member(me);
        Self {
            common,
            plan,
            index,
            seat,
            me,
            supervisor: getppid(),
        }
    }

    /// Works until there is nothing more to do, or it has done as much as it may.
    pub(super) fn work(&self) -> ExitCode {
        let mut answer = Vec::new();
        if let Some(initializer) = &self.plan.initializer {
            initializer.run(&mut answer);
            self.end_copies();
            // Not before its end is told: until then, it is its initializer's.
            if answer.first() != Some(&(Ended::Well as u8)) {
                self.say_failed(answer.get(1..).unwrap_or_default());
                return ExitCode::from(FAILED);
            }
            self.seat.set(Doing::Nothing);
        }
        let mut message = Vec::new();
        let mut done = 0;
        while self
            .plan
            .maxtasksperchild
            .is_none_or(|most| done < most.get())
            && let Some(task) = self.next(&mut message)
        {
            self.serve(&task, &message[TASK_HEADER..], &mut answer);
            done += 1;
            message.shrink_to(KEPT);
            answer.shrink_to(KEPT);
        }
        self.common.look_away(self.index);
        self.common.hand_on();
        ExitCode::SUCCESS
    }

    /// A task that forks by itself may return in the new process too, which is no worker.
    fn end_copies(&self) {
        if registry::me() != self.me {
            exit::exit_now(0);
        }
    }

    /// Tells the parent why there can be no worker.
    fn say_failed(&self, error: &[u8]) {
        let mut message = Vec::new();
        let task = TaskId::from_word(0);
        let kind = Kind::Failed;
        AnswerHeader { task, kind }.append(&mut message);
        message.extend_from_slice(error);
        // Where this cannot be said, the supervisor says what it sees.
        let _said = self.common.answers.send(&message, Deadline::Never);
    }

    /// The next task, with its message; nothing when none will come.
    fn next(&self, message: &mut Vec<u8>) -> Option<TaskHeader> {
        let tasks = &self.common.tasks;
        loop {
            // In this order: what was sent before the close is seen.
            let closing = self.common.is_closing();
            if tasks.is_empty() {
                if closing {
                    return None;
                }
                // A process that changes its user outlives its parent.
                if self.common.rest(self.index) == Slept::Slice
                    && getppid() != self.supervisor
                {
                    return None;
                }
                continue;
            }
            let take = |message: &[u8]| {
                if let Some(header) = TaskHeader::read(message) {
                    self.seat.set(Doing::Taking(header.task));
                }
            };
            // Does not wait for a message: where another was faster, there is no hope.
            match tasks.recv(message, Deadline::Never, || false, take) {
                Ok(()) => {
                    self.common.look_away(self.index);
                    self.common.hand_on();
                    if let Some(header) = TaskHeader::read(message) {
                        return Some(header);
                    }
                }
                Err(RecvError::Empty | RecvError::Disconnected) => {}
                Err(RecvError::TooLarge) => {
                    // As one whose initializer fails: another in its place would not
                    // get any further.
                    self.seat.set(Doing::Initializing);
                    let why = "there is no memory for the next task";
                    let mut error = Vec::new();
                    append_error(&TaskError::System(why.into()), &mut error);
                    self.say_failed(&error);
                    return None;
                }
                Err(RecvError::Broken) => return None,
            }
        }
    }

    fn serve(&self, header: &TaskHeader, message: &[u8], answer: &mut Vec<u8>) {
        let task = header.task;
        if header.limit == 0 {
            self.seat.set(Doing::Running(task));
        } else {
            let limit = now().saturating_add(header.limit);
            self.seat.set_limit(limit);
            self.seat.set(Doing::Running(task));
            // The supervisor is to look at the clock. Where it has gone, so will this
            // process at once.
            if getppid() == self.supervisor {
                let _gone = kill(self.supervisor, LOOK);
            }
        }
        answer.clear();
        if self.common.is_cancelled(task) {
            AnswerHeader {
                task,
                kind: Kind::Skipped,
            }
            .append(answer);
        } else {
            AnswerHeader {
                task,
                kind: Kind::Answer,
            }
            .append(answer);
            let ran = header.routine.run(message, answer);
            self.end_copies();
            if !ran {
                answer.push(Ended::Badly as u8);
                append_error(&TaskError::Foreign, answer);
            }
            // What the task printed is there before its end is known.
            let _nobody_to_tell = io::stdout().flush();
        }
        if !self.seat.leave(task, Doing::Answering(task)) {
            wait_for_the_end();
        }
        if header.limit != 0 {
            self.seat.set_limit(0);
        }
        if answer.len() <= PROMPT {
            // Before whoever waits for the answer can send the next task: it need not
            // wake another then.
            self.common.look_out(self.index);
        }
        let sent = self.common.answers.send(answer, Deadline::Never);
        if let Err(SendError::System(error)) = sent {
            answer.truncate(ANSWER_HEADER);
            answer.push(Ended::Badly as u8);
            append_error(&TaskError::Result(error.to_string()), answer);
            // Where even that has no room, this ends as a worker that is lost.
            if self.common.answers.send(answer, Deadline::Never).is_err() {
                let _itself = kill(Pid::this(), Signal::SIGKILL);
            }
        }
        self.seat.set(Doing::Nothing);
    }
}

/// The supervisor has decided that this worker must go, and is about to kill it.
fn wait_for_the_end() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// An answer is on its way at once if it has no more bytes than this.
const PROMPT: usize = 4096;

/// Space for messages that is worth keeping; a giant's is not.
const KEPT: usize = 1 << 18;

/// The monotonic clock, which all processes share, in nanoseconds.
pub(super) fn now() -> u64 {
    crate::sys::futex::now().as_nanos() as u64
}
