//! What the sender's program has asked for and the broker was not yet asked.

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
        let mut submissions = Vec::new();
        let mut numbers = Vec::new();
        let mut bytes = 0;
        while let Some(request) = shared.outbox.pop_front() {
            match request {
                Request::Submit(submission)
                    if numbers.is_empty()
                        && submissions.len() < BATCH
                        && bytes < BATCH_BYTES =>
                {
                    bytes += submission.len();
                    submissions.push(submission);
                }
                Request::Cancel(number)
                    if submissions.is_empty() && numbers.len() < CHECKED =>
                {
                    numbers.push(number);
                }
                Request::Watch(id)
                    if submissions.is_empty() && numbers.is_empty() =>
                {
                    return Some(Batch::Watch(id));
                }
                other => {
                    shared.outbox.push_front(other);
                    break;
                }
            }
        }
        if shared.waiting_for_room > 0 {
            self.changed.notify_all();
        }
        if !submissions.is_empty() {
            Some(Batch::Submit(submissions))
        } else if numbers.is_empty() {
            None
        } else {
            Some(Batch::Cancel(numbers))
        }
    }
}
