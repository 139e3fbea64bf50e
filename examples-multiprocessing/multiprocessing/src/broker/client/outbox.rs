//! The requests that were not sent yet, and the batches in which they are sent.

use super::{CHECKED, Client, Fields, Shared};

/// The largest number of tasks in one batch. A batch also ends with the task that reaches
/// `BATCH_BYTES`.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1 << 20;

/// What the submitter is to do at the broker.
pub(super) enum Request {
    Submit(Submission),
    /// Cancels the task of this number.
    Cancel(u64),
    /// Asks for the outcome of the task of this id.
    Watch(String),
}

/// A task that is not yet sent.
pub(super) struct Submission {
    pub(super) number: u64,
    /// The task's id if it is made of a key. Another sender may have submitted the task,
    /// so its outcome is asked for as that of another sender's.
    pub(super) of_key: Option<String>,
    pub(super) fields: Fields,
}

impl Submission {
    /// The bytes of its values.
    fn len(&self) -> usize {
        self.fields.iter().map(|(_, value)| value.len()).sum()
    }
}

/// Requests of one kind, which go to the broker together.
pub(super) enum Batch {
    Submit(Vec<Submission>),
    Cancel(Vec<u64>),
    Watch(String),
}

impl Client {
    /// Takes the next batch from the outbox: requests of one kind, in their order.
    pub(super) fn next_batch(&self, shared: &mut Shared) -> Option<Batch> {
        let outbox = &mut shared.outbox;
        let batch = match outbox.pop_front()? {
            Request::Submit(first) => {
                let mut bytes = first.len();
                let mut submissions = vec![first];
                while submissions.len() < BATCH
                    && bytes < BATCH_BYTES
                    && let Some(Request::Submit(next)) = outbox
                        .pop_front_if(|next| matches!(next, Request::Submit(_)))
                {
                    bytes += next.len();
                    submissions.push(next);
                }
                Batch::Submit(submissions)
            }
            Request::Cancel(first) => {
                let mut numbers = vec![first];
                while numbers.len() < CHECKED
                    && let Some(Request::Cancel(next)) = outbox
                        .pop_front_if(|next| matches!(next, Request::Cancel(_)))
                {
                    numbers.push(next);
                }
                Batch::Cancel(numbers)
            }
            Request::Watch(id) => Batch::Watch(id),
        };
        if shared.waiting_for_room > 0 {
            self.changed.notify_all();
        }
        Some(batch)
    }
}
