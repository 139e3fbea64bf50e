//! How tasks and answers begin on their way through the rings.

use super::board::TaskId;
use crate::sys::routine::Routine;

const WORD: usize = size_of::<u64>();

/// The first words of a task; what its function takes follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct TaskHeader {
    pub(super) task: TaskId,
    pub(super) routine: Routine,
    /// For how long it may run, in nanoseconds; 0 for no limit.
    pub(super) limit: u64,
}

pub(super) const TASK_HEADER: usize = 3 * WORD;

impl TaskHeader {
    /// Writes it over the first bytes of the message.
    pub(super) fn write(&self, message: &mut [u8]) {
        let words = [self.task.to_word(), self.routine.to_word(), self.limit];
        for (bytes, word) in message.chunks_exact_mut(WORD).zip(words) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
    }

    pub(super) fn read(message: &[u8]) -> Option<Self> {
        Some(Self {
            task: TaskId::from_word(word(message, 0)?),
            routine: Routine::from_word(word(message, 1)?),
            limit: word(message, 2)?,
        })
    }
}

fn word(message: &[u8], index: usize) -> Option<u64> {
    let bytes = message.get(index * WORD..)?.first_chunk()?;
    Some(u64::from_ne_bytes(*bytes))
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A worker's answer to a task, beginning with an [`Ended`](super::task::Ended).
    Answer,
    /// The worker that took the task found it cancelled, and did not run it.
    Skipped,
    /// The worker with the task ended, says the supervisor, or was made to: a
    /// [`TaskError`](super::TaskError).
    Lost,
    /// A worker that ended may have taken the task, or it may be another's: a
    /// [`TaskError`](super::TaskError).
    PerhapsLost,
    /// The pool can run no tasks: a [`TaskError`](super::TaskError).
    Failed,
    /// The supervisor's last word, after all others.
    Shutdown,
    /// From another thread of the parent's: the table has changed, look again.
    Wake,
}

/// The first words of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerHeader {
    pub(super) task: TaskId,
    pub(super) kind: Kind,
}

pub(super) const ANSWER_HEADER: usize = 2 * WORD;

impl AnswerHeader {
    pub(super) fn append(&self, message: &mut Vec<u8>) {
        let kind: u64 = match self.kind {
            Kind::Answer => 0,
            Kind::Skipped => 1,
            Kind::Lost => 2,
            Kind::PerhapsLost => 3,
            Kind::Failed => 4,
            Kind::Shutdown => 5,
            Kind::Wake => 6,
        };
        message.extend_from_slice(&self.task.to_word().to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
    }

    pub(super) fn read(message: &[u8]) -> Option<Self> {
        Some(Self {
            task: TaskId::from_word(word(message, 0)?),
            kind: match word(message, 1)? {
                0 => Kind::Answer,
                1 => Kind::Skipped,
                2 => Kind::Lost,
                3 => Kind::PerhapsLost,
                4 => Kind::Failed,
                5 => Kind::Shutdown,
                6 => Kind::Wake,
                _ => return None,
            },
        })
    }
}
