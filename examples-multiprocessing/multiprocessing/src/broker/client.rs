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

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::agent::new_id;
use super::link::{self, Link, Place};
use super::tasks::Tasks;
use super::wire;
use super::{BrokerError, DELIVERIES};
use crate::TaskError;
use crate::poison::lock_unpoisoned;

/// The pool's own name for a task, which is handed back with the task's outcome.
pub(crate) type Token = u64;

/// A task and its outcome; `None` for a task that was cancelled and removed from the
/// broker.
pub(crate) type Outcome = (Token, Option<Result<Vec<u8>, TaskError>>);

/// The fields of a task's entry and their values. A complete one has `id` first.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// A receiver of the outcomes of a client's tasks.
pub(crate) trait Outcomes: Send + 'static {
    /// Accepts outcomes. Returns whether the receiver still exists.
    fn deliver(&self, outcomes: Vec<Outcome>) -> bool;
}

/// The number of requests in the outbox at which threads that submit must wait.
const OUTBOX: usize = 1024;
/// The largest number of tasks in one batch. A batch also ends with the task that reaches
/// `BATCH_BYTES`.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1 << 20;
/// How long the receiver waits for an outcome before it does its other work.
const BLOCK: Duration = Duration::from_secs(1);
/// The time between two checks that the broker still has the tasks.
const CHECK: Duration = Duration::from_secs(1);
/// The largest number of tasks in one check or one cancellation.
const CHECKED: usize = 200;
/// The number of outcomes, and of their bytes, after which they are removed from the
/// stream. They are also removed after a second without an outcome.
const TRIM: usize = 256;
const TRIM_BYTES: usize = 1 << 20;
/// How long the result of a task with a key is kept, unless the pool's results are kept
/// for another time.
const KEPT_WITH_KEY: Duration = Duration::from_hours(24);
/// In a submission: it may be a repetition.
const AGAIN: &str = "again";
/// The longest key of a task, in bytes.
const LONGEST_KEY: usize = 1024;

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

pub(crate) struct Client {
    place: Place,
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
    /// The outcomes that were read and are still in the stream, and their bytes.
    untrimmed: (usize, usize),
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
    /// The receiver waits for a task, and for the time to trim the stream of outcomes.
    Dozing,
    /// It waits for a request or a task.
    Asleep,
}

/// What the submitter is to do at the broker.
enum Request {
    Submit(Submission),
    /// Cancels the task of this number.
    Cancel(u64),
    /// Asks for the outcome of the task of this id.
    Watch(String),
}

/// A task that is not yet sent.
struct Submission {
    number: u64,
    /// The task's id if it is made of a key. Another sender may have submitted the task,
    /// so its outcome is asked for as that of another sender's.
    of_key: Option<String>,
    fields: Fields,
}

impl Submission {
    /// The bytes of its values.
    fn len(&self) -> usize {
        self.fields.iter().map(|(_, value)| value.len()).sum()
    }
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

/// What the thread that receives needs.
struct Receiving {
    link: Link,
    /// The last entry of the stream of outcomes that was read.
    last: String,
    /// When the broker was last asked whether it still has the tasks.
    checked: Instant,
    /// The number of the task with which the next check begins.
    cursor: u64,
}

impl Client {
    /// A sender to a broker that was checked.
    pub(super) fn new(place: Place, tasks: Tasks, options: Options) -> Self {
        Self {
            link: Mutex::new(place.link()),
            receiving: Mutex::new(Receiving {
                link: place.link(),
                last: "0-0".into(),
                checked: Instant::now(),
                cursor: 0,
            }),
            place,
            id: new_id(),
            tasks,
            options,
            shared: Mutex::default(),
            changed: Condvar::new(),
            opened: Condvar::new(),
        }
    }

    /// Starts the two threads. They end at [`end`](Self::end), or once `outcomes` no longer
    /// wants any.
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

    /// The fields of a task's entry, without its id.
    pub(crate) fn fields(
        &self,
        name: &str,
        args: String,
        many: bool,
        deadline: Option<Duration>,
    ) -> Result<Fields, TaskError> {
        wire::check_size(&args).map_err(TaskError::Argument)?;
        let mut fields = vec![("task", name.to_owned()), ("args", args)];
        if self.options.deliveries != DELIVERIES {
            fields.push(("most", self.options.deliveries.to_string()));
        }
        if many {
            fields.push(("many", "1".into()));
        }
        if let Some(limit) = deadline {
            // A limit of zero would end before the task begins.
            fields.push(("deadline", limit.as_millis().max(1).to_string()));
        }
        if let Some(keep) = self.options.keep {
            fields.push(("keep", keep.as_millis().max(1).to_string()));
        }
        Ok(fields)
    }

    /// Gives a task a key: its id is made of the key, and its result is kept.
    pub(crate) fn add_key(
        &self,
        key: &str,
        fields: &mut Fields,
    ) -> Result<(), TaskError> {
        if key.len() > LONGEST_KEY {
            return Err(TaskError::Argument(format!(
                "the key has {} bytes, and {LONGEST_KEY} is the most",
                key.len()
            )));
        }
        fields.insert(0, ("id", id_of_key(key)));
        if self.options.keep.is_none() {
            fields.push(("keep", KEPT_WITH_KEY.as_millis().to_string()));
        }
        Ok(())
    }

    /// Puts a task in the outbox, under the next number. The submitter sends it and the
    /// receiver gets its outcome. With `awaited`, the caller does so, by
    /// [`send_now`](Self::send_now) and [`receive_until`](Self::receive_until).
    pub(crate) fn submit(&self, token: Token, mut fields: Fields, awaited: bool) {
        let mut shared = self.lock();
        let number = shared.next;
        let of_key = fields.iter().find(|(field, _)| *field == "id");
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

    /// Sends a batch from the outbox in the calling thread, if no other thread is sending.
    /// This saves a switch to the submitter.
    pub(crate) fn send_now(&self, outcomes: &impl Outcomes) {
        let link = match self.link.try_lock() {
            Ok(link) => Some(link),
            Err(TryLockError::Poisoned(link)) => Some(link.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut link) = link {
            let batch = self.next_batch(&mut self.lock());
            if let Some(batch) = batch {
                self.run(&mut link, batch, outcomes);
            }
        }
        // Other threads may have added requests meanwhile; or another thread was sending.
        let shared = self.lock();
        if !shared.outbox.is_empty() {
            self.changed.notify_all();
        }
    }

    /// Receives outcomes in the calling thread until `done`, if no other thread receives.
    /// This saves a switch to the receiver.
    pub(crate) fn receive_until(
        &self,
        outcomes: &impl Outcomes,
        done: impl Fn() -> bool,
    ) {
        let receiving = match self.receiving.try_lock() {
            Ok(receiving) => Some(receiving),
            Err(TryLockError::Poisoned(receiving)) => Some(receiving.into_inner()),
            // The thread that has it looks for open tasks when it is done, and finds the
            // caller's.
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut receiving) = receiving {
            self.lock().waiter_receives = true;
            while !done() && self.receive(&mut receiving, outcomes) {}
            drop(receiving);
            self.lock().waiter_receives = false;
        }
        let shared = self.lock();
        let trims = shared.untrimmed.0 > 0 && shared.receiver == Activity::Asleep;
        if shared.has_open() || trims {
            self.wake_receiver(&shared);
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
            self.place.link().call(&forget).ok();
        }
    }

    fn client_key(&self) -> String {
        self.place.key(&format!("client:{}", self.id))
    }

    fn done_key(&self) -> String {
        self.place.key(&format!("done:{}", self.id))
    }

    fn keys(&self) -> [String; 2] {
        [self.place.key("tasks"), self.client_key()]
    }

    // The submitter.

    fn submit_all(&self, outcomes: &impl Outcomes) {
        while self.wait_for_requests() {
            // The link is locked before the batch is taken, so that submissions reach the
            // broker in the order of their numbers.
            let mut link = lock_unpoisoned(&self.link);
            let batch = self.next_batch(&mut self.lock());
            if let Some(batch) = batch {
                self.run(&mut link, batch, outcomes);
            }
        }
    }

    fn run(&self, link: &mut Link, batch: Batch, outcomes: &impl Outcomes) {
        match batch {
            Batch::Submit(submissions) => self.send(link, submissions, outcomes),
            Batch::Cancel(numbers) => self.cancel_now(link, &numbers, outcomes),
            Batch::Watch(id) => {
                let args = [self.id.clone(), id];
                self.retry_until_answered(link, |link| {
                    link.run(|s| &s.watch, &self.keys(), &args)
                });
            }
        }
    }

    /// Waits until the outbox has a request. Returns false at the end.
    fn wait_for_requests(&self) -> bool {
        let mut shared = self.lock();
        while shared.outbox.is_empty() && !shared.ended {
            shared.submitter = Activity::Asleep;
            if shared.waiting_for_room > 0 {
                self.changed.notify_all();
            }
            // The wake-up must not be lost: requests are added, and the end is set, under
            // the lock, and `submitter` is set under it before this sleeps.
            shared = self
                .changed
                .wait(shared)
                .unwrap_or_else(PoisonError::into_inner);
            shared.submitter = Activity::Busy;
        }
        !shared.ended
    }

    /// Takes the next batch from the outbox: requests of one kind, in their order.
    fn next_batch(&self, shared: &mut Shared) -> Option<Batch> {
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

    /// Repeats a command until the broker answers, or refuses it for good. Returns `None`
    /// if the client ends before.
    fn retry_until_answered(
        &self,
        link: &mut Link,
        mut ask: impl FnMut(&mut Link) -> redis::RedisResult<redis::Value>,
    ) -> Option<redis::RedisResult<redis::Value>> {
        loop {
            match ask(link) {
                Ok(answer) => return Some(Ok(answer)),
                Err(error) if link::is_lasting(&error) => return Some(Err(error)),
                Err(_) if self.lock().ended => return None,
                Err(_) => link.pause(),
            }
        }
    }

    fn send(
        &self,
        link: &mut Link,
        mut submissions: Vec<Submission>,
        outcomes: &impl Outcomes,
    ) {
        let expires = self.options.expires;
        let expires =
            expires.map_or_else(String::new, |e| e.as_millis().to_string());
        let mut pause = Duration::from_millis(5);
        while let Some(first) = submissions.first() {
            let mut args = vec![
                first.number.to_string(),
                String::new(),
                self.options.capacity.to_string(),
                expires.clone(),
            ];
            for submission in &submissions {
                let keeps =
                    submission.of_key.is_some() || self.options.keep.is_some();
                let keeps = if keeps { "k" } else { "" };
                args.push(format!("{keeps}{}", submission.fields.len() * 2));
                for (field, value) in &submission.fields {
                    args.push((*field).to_owned());
                    args.push(value.clone());
                }
            }
            let answer = self.retry_until_answered(link, |link| {
                let answer = link.run(|s| &s.submit, &self.keys(), &args);
                AGAIN.clone_into(&mut args[1]);
                answer
            });
            match answer {
                None => return,
                Some(Ok(made)) => {
                    let made = link::string(made);
                    let made: Vec<_> = made.split_whitespace().collect();
                    if made.is_empty() {
                        // The queue is full. The broker does not report when it has room.
                        if self.lock().ended {
                            return;
                        }
                        thread::sleep(pause);
                        pause = (pause * 2).min(Duration::from_millis(50));
                        continue;
                    }
                    let mut shared = self.lock();
                    for (submission, entry) in
                        submissions.drain(..made.len()).zip(made)
                    {
                        shared.set_submitted(submission, entry);
                    }
                }
                Some(Err(error)) => {
                    // The error does not say which task it concerns; each is sent alone.
                    if submissions.len() > 1 {
                        for submission in submissions {
                            self.send(link, vec![submission], outcomes);
                        }
                        return;
                    }
                    let why = link.explain(&error).to_string();
                    let submission = submissions.remove(0);
                    let open = self.lock().open.remove(&submission.number);
                    if let Some(open) = open {
                        outcomes.deliver(vec![(
                            open.token,
                            Some(Err(TaskError::System(why))),
                        )]);
                    }
                }
            }
        }
    }

    /// Removes tasks from the broker, and reports those that had not ended as cancelled.
    fn cancel_now(
        &self,
        link: &mut Link,
        numbers: &[u64],
        outcomes: &impl Outcomes,
    ) {
        let (mut tokens, mut entries) = (Vec::new(), Vec::new());
        {
            let mut shared = self.lock();
            for number in numbers {
                // A task that has ended is not open, and needs nothing.
                if let Some(open) = shared.open.remove(number) {
                    tokens.push((open.token, None));
                    entries.extend(open.entry);
                }
            }
        }
        if !entries.is_empty() {
            self.retry_until_answered(link, |link| {
                link.run(|s| &s.cancel, &self.keys(), &entries)
            });
        }
        if !tokens.is_empty() {
            outcomes.deliver(tokens);
        }
    }

    // The receiver.

    fn receive_all(&self, outcomes: &impl Outcomes) {
        let mut found_any = false;
        while let Some(next) = self.wait_for_open(found_any) {
            let mut receiving = lock_unpoisoned(&self.receiving);
            let before = receiving.last.clone();
            let wanted = match next {
                Next::Receive => self.receive(&mut receiving, outcomes),
                Next::Trim => {
                    self.trim(&mut receiving);
                    true
                }
            };
            if !wanted {
                return;
            }
            found_any = receiving.last != before;
        }
    }

    /// Waits until the receiver has something to do. Returns `None` at the end.
    fn wait_for_open(&self, found_any: bool) -> Option<Next> {
        let mut shared = self.lock();
        // A caller that submits one task after the other need not wake the receiver each
        // time: it only sleeps after a read that found nothing, or if the caller receives
        // itself.
        if found_any && !shared.last_is_awaited && !shared.ended {
            return Some(Next::Receive);
        }
        loop {
            if shared.ended {
                return None;
            }
            if shared.has_open() && !shared.waiter_receives {
                return Some(Next::Receive);
            }
            // The wake-up must not be lost: tasks are added, and the end is set, under the
            // lock, a thread that receives for its own task looks for open tasks
            // afterwards, and `receiver` is set under the lock before this sleeps.
            let timed_out;
            if shared.untrimmed.0 == 0 {
                shared.receiver = Activity::Asleep;
                let waited = self.opened.wait(shared);
                shared = waited.unwrap_or_else(PoisonError::into_inner);
                timed_out = false;
            } else {
                shared.receiver = Activity::Dozing;
                let waited = self.opened.wait_timeout(shared, BLOCK);
                let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                (shared, timed_out) = (guard, waited.timed_out());
            }
            shared.receiver = Activity::Busy;
            if timed_out && !shared.has_open() && !shared.ended {
                return Some(Next::Trim);
            }
        }
    }

    /// Receives outcomes once, waiting up to [`BLOCK`], and does the work that is due
    /// between. Returns whether outcomes are still wanted.
    fn receive(&self, receiving: &mut Receiving, outcomes: &impl Outcomes) -> bool {
        if self.lock().ended {
            return false;
        }
        let Ok(read) = self.read(receiving, BLOCK) else {
            receiving.link.pause();
            return true;
        };
        let was_empty = read.is_empty();
        if !was_empty && !outcomes.deliver(read) {
            return false;
        }
        let (untrimmed, bytes) = self.lock().untrimmed;
        if untrimmed >= TRIM || bytes >= TRIM_BYTES || was_empty && untrimmed > 0 {
            self.trim(receiving);
        }
        if receiving.checked.elapsed() >= CHECK {
            let missing = self.find_missing(receiving);
            self.watch_again(&mut receiving.link);
            if let Ok(missing) = missing {
                receiving.checked = Instant::now();
                return outcomes.deliver(missing);
            }
        }
        true
    }

    /// Removes from the stream the outcomes that were read.
    fn trim(&self, receiving: &mut Receiving) {
        let mut trim = redis::cmd("XTRIM");
        trim.arg(self.done_key()).arg("MINID").arg(&receiving.last);
        // If this fails, they are removed with later ones.
        if receiving.link.call(&trim).is_ok() {
            self.lock().untrimmed = (0, 0);
        }
    }

    /// Reads the outcomes after the last entry that was read, waiting up to `wait`.
    fn read(
        &self,
        receiving: &mut Receiving,
        wait: Duration,
    ) -> redis::RedisResult<Vec<Outcome>> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(1000);
        if !wait.is_zero() {
            read.arg("BLOCK").arg(wait.as_millis() as u64);
        }
        read.arg("STREAMS")
            .arg(self.done_key())
            .arg(&receiving.last);
        let entries = receiving.link.call_blocking(&read, wait)?;
        let entries = link::entries_read(entries);
        let mut shared = self.lock();
        let mut found = Vec::new();
        for (entry, fields) in entries {
            receiving.last = entry;
            for pair in fields.chunks_exact(4) {
                let [_, id, _, outcome] = pair else { continue };
                shared.untrimmed.0 += 1;
                shared.untrimmed.1 += outcome.len();
                let id = String::from_utf8_lossy(id);
                let own = (wire::client_of(&id) == self.id)
                    .then(|| id.rsplit_once('-')?.1.parse::<u64>().ok())
                    .flatten();
                // A task that is not open has ended: it was cancelled, or its outcome
                // came twice.
                let mut tokens = shared.watched.remove(&*id).unwrap_or_default();
                let open = own.and_then(|number| shared.open.remove(&number));
                tokens.extend(open.map(|open| open.token));
                for token in tokens {
                    found.push((token, Some(wire::read_outcome(outcome))));
                }
            }
        }
        Ok(found)
    }

    /// Asks once more for the outcomes of other senders' tasks: the broker may have been
    /// emptied.
    fn watch_again(&self, link: &mut Link) {
        let watched: Vec<_> = self.lock().watched.keys().cloned().collect();
        for id in watched {
            let args = [self.id.clone(), id];
            // If this fails, the next check asks again.
            link.run(|s| &s.watch, &self.keys(), &args).ok();
        }
    }

    /// Finds the tasks that the broker has lost: it has neither the task nor its outcome.
    /// Returns their outcomes, and those that were read meanwhile.
    fn find_missing(
        &self,
        receiving: &mut Receiving,
    ) -> redis::RedisResult<Vec<Outcome>> {
        let mut found = Vec::new();
        // Each check asks about the next tasks in turn. Once one is missing, it goes on
        // through all that follow.
        loop {
            let piece: Vec<(u64, String)> = {
                let shared = self.lock();
                let open = shared.open.range(receiving.cursor..);
                let known =
                    open.filter_map(|(n, open)| Some((*n, open.entry.clone()?)));
                known.take(CHECKED).collect()
            };
            receiving.cursor = match piece.last() {
                Some((number, _)) if piece.len() == CHECKED => number + 1,
                _ => 0,
            };
            let entries: Vec<_> = piece.iter().map(|(_, entry)| entry).collect();
            let there = receiving.link.run(|s| &s.check, &self.keys(), &entries)?;
            let there = link::numbers(there);
            let missing = piece.iter().zip(there).filter(|(_, there)| *there == 0);
            let missing: Vec<u64> =
                missing.map(|((number, _), _)| *number).collect();
            if missing.is_empty() {
                return Ok(found);
            }
            // A missing task may just have ended: the broker removes a task and adds its
            // outcome in one step. So the outcomes that have come are read first.
            loop {
                let read = self.read(receiving, Duration::ZERO)?;
                if read.is_empty() {
                    break;
                }
                found.extend(read);
            }
            let mut shared = self.lock();
            for number in missing {
                if let Some(open) = shared.open.remove(&number) {
                    found.push((open.token, Some(Err(TaskError::Forgotten))));
                }
            }
            if receiving.cursor == 0 {
                return Ok(found);
            }
        }
    }
}

/// The largest number up to `next` of which `low` is the low half.
fn whole_number(next: u64, low: u32) -> u64 {
    next.saturating_sub(u64::from((next as u32).wrapping_sub(low)))
}

/// The id of the task with this key.
pub(crate) fn id_of_key(key: &str) -> String {
    format!("key:{key}-0")
}

/// What the receiver does next.
enum Next {
    Receive,
    Trim,
}

/// Requests of one kind, which go to the broker together.
enum Batch {
    Submit(Vec<Submission>),
    Cancel(Vec<u64>),
    Watch(String),
}
