//! The sender's side: it submits tasks and receives outcomes.
//!
//! Two threads use the broker, each over its own link. The *submitter* sends the requests
//! in the outbox, in batches of those that have gathered meanwhile. It repeats a batch
//! until it has an answer: the broker detects one that it has accepted already. The
//! *receiver* reads outcomes from this sender's own stream, where they stay until it has
//! read them. About once a second it asks whether the broker still has the tasks.
//!
//! A thread that submits a task and waits for it at once does the work of both, if they
//! are idle: it would otherwise sleep until one of them wakes it.

mod builder;
mod entry;
mod outbox;
mod receiver;
mod submitter;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::BrokerError;
use super::address::QueueAddress;
use super::id::new_id;
use super::link::Link;
use super::tasks::Tasks;
use crate::TaskError;
use crate::poison::lock_unpoisoned;
pub use builder::BrokerPoolBuilder;
pub(crate) use entry::{Fields, id_of_key};
use outbox::{Request, Submission};
use receiver::Receiving;

/// The pool's own name for a task, which is handed back with the task's outcome.
pub(crate) type Token = u64;

/// A task and its outcome; `None` for a task that was cancelled and removed from the
/// broker.
pub(crate) type Outcome = (Token, Option<Result<Vec<u8>, TaskError>>);

/// A receiver of the outcomes of a client's tasks.
pub(crate) trait Outcomes: Send + 'static {
    /// Accepts outcomes. Returns whether the receiver still exists.
    fn deliver(&self, outcomes: Vec<Outcome>) -> bool;
}

/// The number of requests in the outbox at which threads that submit must wait.
const OUTBOX: usize = 1024;
/// The largest number of tasks in one check or one cancellation.
const CHECKED: usize = 200;

/// The options that all tasks of a pool share.
#[derive(Debug)]
pub(super) struct Options {
    /// The number of tasks of the queue that may wait or run at the broker.
    pub(super) capacity: u64,
    /// The number of deliveries after which a task is dead.
    pub(super) deliveries: u32,
    /// How long a task may wait before it begins.
    pub(super) expires: Option<Duration>,
    /// How long a result can be looked up by the task's id.
    pub(super) keep: Option<Duration>,
}

/// A sender: what its two threads and the callers that submit tasks have in common.
pub(crate) struct Client {
    address: QueueAddress,
    /// The sender's name at the broker.
    id: String,
    tasks: Tasks,
    options: Options,
    shared: Mutex<Shared>,
    /// The thread that holds it takes from the outbox and sends: the submitter, or a
    /// thread that is about to wait for its own task. It is locked before `shared`.
    link: Mutex<Link>,
    /// The thread that holds it receives: the receiver, or a thread that waits for its own
    /// task. It is locked before `shared`.
    receiving: Mutex<Receiving>,
    /// Notified when there is a request to send, when the outbox has room, and at the end.
    changed: Condvar,
    /// Notified when there is a task to wait for, and at the end.
    opened: Condvar,
}

/// The state of a client, under its lock.
#[derive(Default)]
struct Shared {
    outbox: VecDeque<Request>,
    /// The number of threads that wait until the outbox has room, or until it is empty.
    waiting_for_room: usize,
    submitter: Activity,
    receiver: Activity,
    /// Whether a thread that waits for its own task receives.
    waiter_receives: bool,
    /// Whether the last task was submitted by a thread that waits for it.
    last_is_awaited: bool,
    untrimmed: Untrimmed,
    /// The number of the next task.
    next: u64,
    /// The tasks that have no outcome yet, by number.
    open: BTreeMap<u64, Open>,
    /// The tasks of other senders whose outcomes are wanted here, by their ids.
    watched: HashMap<String, Vec<Token>>,
    /// Whether both threads must end.
    ended: bool,
}

/// What the submitter or the receiver does.
#[derive(Default, PartialEq, Eq)]
enum Activity {
    #[default]
    Busy,
    /// It waits for a request or a task, without a limit.
    Asleep,
    /// The receiver waits for a task, until it is time to trim the stream of outcomes.
    AsleepUntilTrim,
}

/// The outcomes that were read and are still in the stream.
#[derive(Default)]
struct Untrimmed {
    outcomes: usize,
    bytes: usize,
}

impl Shared {
    /// Whether an outcome is awaited.
    fn has_open(&self) -> bool {
        !self.open.is_empty() || !self.watched.is_empty()
    }

    /// After the broker has accepted a task.
    fn set_submitted(&mut self, submission: Submission, entry: &str) {
        let Some(id) = submission.of_key else {
            if let Some(open) = self.open.get_mut(&submission.number) {
                open.entry = Some(entry.to_owned());
            }
            return;
        };
        if let Some(open) = self.open.remove(&submission.number) {
            self.watched.entry(id.clone()).or_default().push(open.token);
            self.outbox.push_back(Request::Watch(id));
        }
    }
}

/// A task that has no outcome yet.
struct Open {
    token: Token,
    /// The task's entry at the broker, once the broker has answered.
    entry: Option<String>,
}

impl Client {
    /// A sender to a broker that was checked.
    pub(super) fn new(
        address: QueueAddress,
        tasks: Tasks,
        options: Options,
    ) -> Self {
        Self {
            link: Mutex::new(address.link()),
            receiving: Mutex::new(Receiving {
                link: address.link(),
                last: "0-0".into(),
                checked: Instant::now(),
                cursor: 0,
            }),
            address,
            id: new_id(),
            tasks,
            options,
            shared: Mutex::default(),
            changed: Condvar::new(),
            opened: Condvar::new(),
        }
    }

    /// Starts the two threads. They end at [`end`](Self::end), the receiver also once
    /// `outcomes` no longer wants any.
    pub(crate) fn start(
        self: &Arc<Self>,
        outcomes: impl Outcomes + Sync,
    ) -> Result<(), BrokerError> {
        let outcomes = Arc::new(outcomes);
        let (sender, receiver) = (Arc::clone(self), Arc::clone(self));
        let for_sender = Arc::clone(&outcomes);
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.into()).spawn(run);
            thread.map_err(|error| {
                let doing = "start a thread";
                BrokerError::Pool(crate::Error::system(doing)(error).into())
            })
        };
        start(
            "broker submitter",
            Box::new(move || sender.submit_all(&*for_sender)),
        )?;
        start(
            "broker receiver",
            Box::new(move || receiver.receive_all(&*outcomes)),
        )?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing that can panic runs under the lock.
        lock_unpoisoned(&self.shared)
    }

    /// The name of the function of this type.
    pub(crate) fn name_of(&self, function: std::any::TypeId) -> Option<&str> {
        self.tasks.name_of(function)
    }

    /// Waits until the outbox has room. It is full while the queue is full or the broker
    /// is away. Several threads may find the same room.
    pub(crate) fn wait_for_room(&self) {
        let mut shared = self.lock();
        // The wake-up must not be lost: the outbox is drained, and the end is set, under
        // the lock, and `waiting_for_room` is counted under it before this sleeps.
        while shared.outbox.len() >= OUTBOX && !shared.ended {
            shared.waiting_for_room += 1;
            shared = self
                .changed
                .wait(shared)
                .unwrap_or_else(PoisonError::into_inner);
            shared.waiting_for_room -= 1;
        }
    }

    /// The number that the next task will have. Its low half is part of the pool's own
    /// name for the task.
    pub(crate) fn next_number(&self) -> u64 {
        self.lock().next
    }

    /// Puts a task in the outbox, under the next number. The submitter sends it and the
    /// receiver gets its outcome. With `awaited`, the caller does so, by
    /// [`send_now`](Self::send_now) and [`receive_until`](Self::receive_until).
    pub(crate) fn submit(&self, token: Token, mut fields: Fields, awaited: bool) {
        let mut shared = self.lock();
        let number = shared.next;
        let of_key = fields.first().filter(|(field, _)| *field == "id");
        let of_key = of_key.map(|(_, id)| id.clone());
        if of_key.is_none() {
            fields.insert(0, ("id", self.task_id(number)));
        }
        shared.next += 1;
        shared.open.insert(number, Open { token, entry: None });
        shared.outbox.push_back(Request::Submit(Submission {
            number,
            of_key,
            fields,
        }));
        shared.last_is_awaited = awaited;
        if !awaited {
            self.wake(&shared);
        }
    }

    /// The number of which this is the low half. It is one of the last 2³² numbers.
    pub(crate) fn whole_number(&self, low: u32) -> u64 {
        whole_number(self.lock().next, low)
    }

    /// The id of this sender's task of this number, by which other programs can ask for
    /// its result.
    pub(crate) fn task_id(&self, number: u64) -> String {
        format!("{}-{number}", self.id)
    }

    /// Asks for the outcome of a task, by the id that its sender gave it.
    pub(crate) fn watch(&self, id: &str, token: Token) {
        let mut shared = self.lock();
        // The caller has entered it under this number.
        shared.next += 1;
        shared.watched.entry(id.to_owned()).or_default().push(token);
        shared.outbox.push_back(Request::Watch(id.to_owned()));
        self.wake(&shared);
    }

    /// Removes a task from the broker, after all requests that were made before.
    pub(crate) fn cancel(&self, number: u32) {
        let mut shared = self.lock();
        let number = whole_number(shared.next, number);
        shared.outbox.push_back(Request::Cancel(number));
        self.wake(&shared);
    }

    /// Removes all tasks from the broker.
    pub(crate) fn cancel_all(&self) {
        let mut shared = self.lock();
        // Tasks that were not sent yet need not be sent.
        shared
            .outbox
            .retain(|request| matches!(request, Request::Cancel(_)));
        let open: Vec<_> = shared.open.keys().copied().collect();
        shared.outbox.extend(open.into_iter().map(Request::Cancel));
        self.wake(&shared);
    }

    fn wake(&self, shared: &Shared) {
        // A notice is a system call, even if no thread waits for it.
        if shared.submitter == Activity::Asleep {
            self.changed.notify_all();
        }
        self.wake_receiver(shared);
    }

    fn wake_receiver(&self, shared: &Shared) {
        if shared.receiver != Activity::Busy {
            self.opened.notify_all();
        }
    }

    /// Whether no outcome is awaited.
    pub(crate) fn has_nothing_open(&self) -> bool {
        !self.lock().has_open()
    }

    /// Waits until all requests were sent, but no longer than `patience`, and ends both
    /// threads.
    pub(crate) fn end(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut shared = self.lock();
        // The wake-up must not be lost: the submitter notifies under the lock when it finds
        // the outbox empty, and `waiting_for_room` shows it that this thread waits.
        while !shared.outbox.is_empty() || shared.submitter != Activity::Asleep {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || shared.ended {
                break;
            }
            shared.waiting_for_room += 1;
            let waited = self.changed.wait_timeout(shared, left);
            shared = waited.unwrap_or_else(PoisonError::into_inner).0;
            shared.waiting_for_room -= 1;
        }
        let none_open = shared.open.is_empty();
        shared.ended = true;
        self.changed.notify_all();
        self.opened.notify_all();
        drop(shared);
        if none_open {
            // No more outcomes will come for this sender. If this fails, the keys expire
            // at the broker within two days.
            let mut forget = redis::cmd("DEL");
            forget.arg(self.client_key()).arg(self.done_key());
            self.address.link().call(&forget).ok();
        }
    }

    fn has_ended(&self) -> bool {
        self.lock().ended
    }

    fn client_key(&self) -> String {
        self.address.key(&format!("client:{}", self.id))
    }

    fn done_key(&self) -> String {
        self.address.key(&format!("done:{}", self.id))
    }

    fn keys(&self) -> [String; 2] {
        [self.address.key("tasks"), self.client_key()]
    }
}

/// The largest number up to `next` of which `low` is the low half.
fn whole_number(next: u64, low: u32) -> u64 {
    next.saturating_sub(u64::from((next as u32).wrapping_sub(low)))
}
