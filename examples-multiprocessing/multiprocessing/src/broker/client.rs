//! The sender's side: tasks go out, outcomes come in.
//!
//! Two threads speak to the broker, each over its own link. The *submitter* sends what
//! lies in the outbox, as many tasks at a time as have gathered meanwhile, and repeats
//! itself until it has an answer: the broker knows a submission that it has had. The
//! *receiver* reads outcomes from a stream of this sender's own, where they stay until
//! it has them, and asks now and then whether the broker still has the tasks.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::agent::new_id;
use super::link::{self, Link, Place};
use super::tasks::Tasks;
use super::wire;
use super::{BrokerError, LARGEST};
use crate::TaskError;
use crate::poison::lock_unpoisoned;

/// Where a task's outcome is to go: the pool's own name for the task.
pub(crate) type Word = u64;

/// A task's outcome as it has come; none for one that was cancelled and is off the
/// broker.
pub(crate) type Landed = (Word, Option<Result<Vec<u8>, TaskError>>);

/// Fields of a task's entry and their values.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// What a pool wants to know.
pub(crate) trait Lands: Send + 'static {
    /// These have come. Returns whether anybody still wants to know.
    fn land(&self, landed: Vec<Landed>) -> bool;
}

/// As many tasks lie in the outbox before whoever submits more waits.
const OUTBOX: usize = 1024;
/// As many tasks, and bytes of them, go in one submission.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1 << 20;
/// How long the receiver waits for an outcome before it looks at what else there is.
const BLOCK: Duration = Duration::from_secs(1);
/// Between two questions whether the broker still has the tasks.
const CHECK: Duration = Duration::from_secs(1);
/// As many tasks of a question.
const CHECKED: usize = 200;
/// After as many outcomes, or a second without one, they are removed from the stream.
const TRIM: usize = 256;

/// What is the same for all tasks of a pool.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// No more tasks than this wait or run.
    pub(super) capacity: u64,
    /// A task is dead after as many deliveries.
    pub(super) deliveries: u32,
    pub(super) expires: Option<Duration>,
    pub(super) keep: Option<Duration>,
}

pub(crate) struct Client {
    place: Place,
    /// This sender's name at the broker.
    id: String,
    tasks: Tasks,
    options: Options,
    shared: Mutex<Shared>,
    /// Whoever has it takes from the outbox and sends: the submitter, or a thread that
    /// waits for its own task anyway. Taken before `shared`.
    link: Mutex<Link>,
    /// Notified when there is something to send, or room for more, and at the end.
    changed: Condvar,
    /// Notified when there is an outcome to wait for, and at the end.
    opened: Condvar,
}

#[derive(Default)]
struct Shared {
    outbox: VecDeque<Errand>,
    /// How many threads wait for room in it.
    crowded: usize,
    /// Whether the submitter waits for something to send.
    idle: bool,
    /// Whether the receiver waits for something to wait for.
    unheard: bool,
    /// The number of the next task.
    next: u64,
    /// What has no outcome yet, by number.
    open: BTreeMap<u64, Open>,
    /// Tasks of others whose outcome is wanted, by their ids.
    watched: HashMap<String, Vec<Word>>,
    /// Whether both threads are to end.
    over: bool,
}

enum Errand {
    Submit(Parcel),
    Cancel(u64),
    Watch(String),
}

struct Parcel {
    number: u64,
    fields: Fields,
}

impl Parcel {
    fn len(&self) -> usize {
        self.fields.iter().map(|(_, value)| value.len()).sum()
    }
}

struct Open {
    word: Word,
    /// Where the broker has it, once that is known.
    entry: Option<String>,
}

impl Client {
    /// A sender whose broker was checked.
    pub(super) fn new(place: Place, tasks: Tasks, options: Options) -> Self {
        Self {
            link: Mutex::new(place.link()),
            place,
            id: new_id(),
            tasks,
            options,
            shared: Mutex::default(),
            changed: Condvar::new(),
            opened: Condvar::new(),
        }
    }

    /// Starts its threads, which end with it.
    pub(crate) fn start(
        self: &Arc<Self>,
        lands: impl Lands + Sync,
    ) -> Result<(), BrokerError> {
        let lands = Arc::new(lands);
        let (sender, receiver) = (Arc::clone(self), Arc::clone(self));
        let for_sender = Arc::clone(&lands);
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
            Box::new(move || receiver.receive_all(&*lands)),
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

    /// Waits until the outbox has room, as it has not while the queue is full or the
    /// broker away. Several threads may find the same room.
    pub(crate) fn wait_for_room(&self) {
        let mut shared = self.lock();
        // Whoever makes room, or ends this, has the lock.
        while shared.outbox.len() >= OUTBOX && !shared.over {
            shared.crowded += 1;
            shared = self
                .changed
                .wait(shared)
                .unwrap_or_else(PoisonError::into_inner);
            shared.crowded -= 1;
        }
    }

    /// The number that the next task will have: its low half is part of the pool's name
    /// for it.
    pub(crate) fn next_number(&self) -> u64 {
        self.lock().next
    }

    /// A task that can be submitted.
    pub(crate) fn order(
        &self,
        name: &str,
        args: String,
        many: bool,
        deadline: Option<Duration>,
    ) -> Result<Fields, TaskError> {
        if args.len() > LARGEST {
            return Err(TaskError::Argument(format!(
                "it has {} bytes as JSON, and {LARGEST} is the most a broker is given",
                args.len()
            )));
        }
        let mut fields = vec![
            ("task", name.to_owned()),
            ("args", args),
            ("most", self.options.deliveries.to_string()),
        ];
        if many {
            fields.push(("many", "1".into()));
        }
        if let Some(limit) = deadline {
            // Zero would be over before it begins.
            fields.push(("deadline", limit.as_millis().max(1).to_string()));
        }
        if let Some(keep) = self.options.keep {
            fields.push(("keep", keep.as_millis().max(1).to_string()));
        }
        Ok(fields)
    }

    /// Sends a task under the next number: soon, or by [`send_now`](Self::send_now).
    pub(crate) fn submit(&self, word: Word, mut fields: Fields, now: bool) {
        let mut shared = self.lock();
        let number = shared.next;
        fields.push(("id", self.task_id(number)));
        shared.next += 1;
        shared.open.insert(number, Open { word, entry: None });
        shared
            .outbox
            .push_back(Errand::Submit(Parcel { number, fields }));
        if now {
            self.wake_receiver(&shared);
        } else {
            self.wake(&shared);
        }
    }

    /// Sends what there is to send, by the calling thread if no other does: it saves the
    /// way through the submitter.
    pub(crate) fn send_now(&self, lands: &impl Lands) {
        let link = match self.link.try_lock() {
            Ok(link) => Some(link),
            Err(TryLockError::Poisoned(link)) => Some(link.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut link) = link {
            let errands = self.errands(&mut self.lock());
            if let Some(errands) = errands {
                self.run(&mut link, errands, lands);
            }
        }
        // What another has put there meanwhile, or this was too late for.
        let shared = self.lock();
        if !shared.outbox.is_empty() {
            self.changed.notify_all();
        }
    }

    /// The number whose low half this is: one of the last four billions.
    pub(crate) fn whole_number(&self, low: u32) -> u64 {
        whole_number(self.lock().next, low)
    }

    /// What others may know the task of this number by.
    pub(crate) fn task_id(&self, number: u64) -> String {
        format!("{}-{number}", self.id)
    }

    /// The outcome of a task that another sender sent.
    pub(crate) fn watch(&self, id: &str, word: Word) {
        let mut shared = self.lock();
        shared.next += 1;
        shared.watched.entry(id.to_owned()).or_default().push(word);
        shared.outbox.push_back(Errand::Watch(id.to_owned()));
        self.wake(&shared);
    }

    /// Takes a task off the broker, behind everything that was sent before.
    pub(crate) fn cancel(&self, number: u32) {
        let mut shared = self.lock();
        let number = whole_number(shared.next, number);
        shared.outbox.push_back(Errand::Cancel(number));
        self.wake(&shared);
    }

    /// Takes all tasks off the broker.
    pub(crate) fn cancel_all(&self) {
        let mut shared = self.lock();
        // What was not sent need not be.
        shared
            .outbox
            .retain(|errand| matches!(errand, Errand::Cancel(_)));
        let open: Vec<_> = shared.open.keys().copied().collect();
        shared.outbox.extend(open.into_iter().map(Errand::Cancel));
        self.wake(&shared);
    }

    fn wake(&self, shared: &Shared) {
        // To notify nobody would be a system call all the same.
        if shared.idle {
            self.changed.notify_all();
        }
        self.wake_receiver(shared);
    }

    fn wake_receiver(&self, shared: &Shared) {
        if shared.unheard {
            self.opened.notify_all();
        }
    }

    /// Whether nothing is on its way.
    pub(crate) fn has_nothing_open(&self) -> bool {
        let shared = self.lock();
        shared.open.is_empty() && shared.watched.is_empty()
    }

    /// Waits until all was sent, but no longer than this, and ends both threads.
    pub(crate) fn end(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut shared = self.lock();
        while !shared.outbox.is_empty() || !shared.idle {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || shared.over {
                break;
            }
            shared.crowded += 1;
            let waited = self.changed.wait_timeout(shared, left);
            shared = waited.unwrap_or_else(PoisonError::into_inner).0;
            shared.crowded -= 1;
        }
        let abandoned = shared.open.is_empty();
        shared.over = true;
        self.changed.notify_all();
        self.opened.notify_all();
        drop(shared);
        if abandoned {
            // Nothing will be written for this sender any more. Where this fails, the
            // broker does the same in a day.
            let mut forget = redis::cmd("DEL");
            forget.arg(self.client_key()).arg(self.done_key());
            let _later = self.place.link().call(&forget);
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

    fn submit_all(&self, lands: &impl Lands) {
        while self.wait_for_errands() {
            // In this order, so that submissions reach the broker in that of their
            // numbers.
            let mut link = lock_unpoisoned(&self.link);
            let errands = self.errands(&mut self.lock());
            if let Some(errands) = errands {
                self.run(&mut link, errands, lands);
            }
        }
    }

    fn run(&self, link: &mut Link, errands: Errands, lands: &impl Lands) {
        match errands {
            Errands::Submit(parcels) => self.send(link, parcels, lands),
            Errands::Cancel(numbers) => self.take_off(link, &numbers, lands),
            Errands::Watch(id) => {
                let args = [self.id.clone(), id];
                self.insist(link, |link| {
                    link.run(|s| &s.watch, &self.keys(), &args)
                });
            }
        }
    }

    /// Returns whether there are any; not, at the end.
    fn wait_for_errands(&self) -> bool {
        let mut shared = self.lock();
        while shared.outbox.is_empty() && !shared.over {
            shared.idle = true;
            if shared.crowded > 0 {
                self.changed.notify_all();
            }
            // Whoever puts something there has the lock.
            shared = self
                .changed
                .wait(shared)
                .unwrap_or_else(PoisonError::into_inner);
            shared.idle = false;
        }
        !shared.over
    }

    /// What can go in one piece, if there is anything.
    fn errands(&self, shared: &mut Shared) -> Option<Errands> {
        let mut parcels = Vec::new();
        let mut numbers = Vec::new();
        let mut bytes = 0;
        while let Some(errand) = shared.outbox.pop_front() {
            match errand {
                Errand::Submit(parcel)
                    if numbers.is_empty()
                        && parcels.len() < BATCH
                        && bytes < BATCH_BYTES =>
                {
                    bytes += parcel.len();
                    parcels.push(parcel);
                }
                Errand::Cancel(number)
                    if parcels.is_empty() && numbers.len() < CHECKED =>
                {
                    numbers.push(number);
                }
                Errand::Watch(id) if parcels.is_empty() && numbers.is_empty() => {
                    return Some(Errands::Watch(id));
                }
                other => {
                    shared.outbox.push_front(other);
                    break;
                }
            }
        }
        if shared.crowded > 0 {
            self.changed.notify_all();
        }
        if !parcels.is_empty() {
            Some(Errands::Submit(parcels))
        } else if numbers.is_empty() {
            None
        } else {
            Some(Errands::Cancel(numbers))
        }
    }

    /// Asks until there is an answer, or the broker refuses for good, or this ends.
    fn insist(
        &self,
        link: &mut Link,
        mut ask: impl FnMut(&mut Link) -> redis::RedisResult<redis::Value>,
    ) -> Option<redis::RedisResult<redis::Value>> {
        loop {
            match ask(link) {
                Ok(answer) => return Some(Ok(answer)),
                Err(error) if link::is_lasting(&error) => return Some(Err(error)),
                Err(_) if self.lock().over => return None,
                Err(_) => link.pause(),
            }
        }
    }

    fn send(&self, link: &mut Link, mut parcels: Vec<Parcel>, lands: &impl Lands) {
        let expires = self.options.expires;
        let expires =
            expires.map_or_else(String::new, |e| e.as_millis().to_string());
        let mut pause = Duration::from_millis(5);
        while let Some(first) = parcels.first() {
            let mut args =
                vec![first.number.to_string(), self.options.capacity.to_string()];
            for parcel in &parcels {
                args.push((parcel.fields.len() * 2).to_string());
                args.push(expires.clone());
                let kept = self.options.keep.map(|_| self.task_id(parcel.number));
                args.push(kept.unwrap_or_default());
                for (field, value) in &parcel.fields {
                    args.push((*field).to_owned());
                    args.push(value.clone());
                }
            }
            let answer = self
                .insist(link, |link| link.run(|s| &s.submit, &self.keys(), &args));
            match answer {
                None => return,
                Some(Ok(made)) => {
                    let made = link::string(made);
                    let made: Vec<_> = made.split_whitespace().collect();
                    if made.is_empty() {
                        // The queue is full. Nobody tells when it is not.
                        if self.lock().over {
                            return;
                        }
                        thread::sleep(pause);
                        pause = (pause * 2).min(Duration::from_millis(50));
                        continue;
                    }
                    let mut shared = self.lock();
                    for (parcel, entry) in parcels.drain(..made.len()).zip(made) {
                        if let Some(open) = shared.open.get_mut(&parcel.number) {
                            open.entry = Some(entry.to_owned());
                        }
                    }
                }
                Some(Err(error)) => {
                    // As it is not known which of them it is about, each goes alone.
                    if parcels.len() > 1 {
                        for parcel in parcels {
                            self.send(link, vec![parcel], lands);
                        }
                        return;
                    }
                    let why = format!("The broker refuses the task: {error}.");
                    let parcel = parcels.remove(0);
                    let open = self.lock().open.remove(&parcel.number);
                    if let Some(open) = open {
                        lands.land(vec![(
                            open.word,
                            Some(Err(TaskError::System(why))),
                        )]);
                    }
                }
            }
        }
    }

    fn take_off(&self, link: &mut Link, numbers: &[u64], lands: &impl Lands) {
        let (mut words, mut entries) = (Vec::new(), Vec::new());
        {
            let mut shared = self.lock();
            for number in numbers {
                // Where it has ended, there is nothing to do.
                if let Some(open) = shared.open.remove(number) {
                    words.push((open.word, None));
                    entries.extend(open.entry);
                }
            }
        }
        if !entries.is_empty() {
            self.insist(link, |link| {
                link.run(|s| &s.cancel, &self.keys(), &entries)
            });
        }
        if !words.is_empty() {
            lands.land(words);
        }
    }

    // The receiver.

    fn receive_all(&self, lands: &impl Lands) {
        let mut link = self.place.link();
        let mut last = "0-0".to_owned();
        let mut untrimmed = 0;
        let mut looked = true;
        let mut checked = Instant::now();
        let mut cursor = 0;
        loop {
            {
                let mut shared = self.lock();
                // Only after a look that found nothing: whoever gives one task after
                // the other need not wake it each time.
                while looked && shared.open.is_empty() && shared.watched.is_empty() {
                    if shared.over {
                        return;
                    }
                    shared.unheard = true;
                    // Whoever submits has the lock.
                    shared = self
                        .opened
                        .wait(shared)
                        .unwrap_or_else(PoisonError::into_inner);
                    shared.unheard = false;
                }
                if shared.over {
                    return;
                }
            }
            let Ok(read) = self.read(&mut link, &mut last, BLOCK) else {
                link.pause();
                continue;
            };
            looked = read.is_empty();
            untrimmed += read.len();
            if !read.is_empty() && !lands.land(read) {
                return;
            }
            if untrimmed >= TRIM || (looked && untrimmed > 0) {
                let mut trim = redis::cmd("XTRIM");
                trim.arg(self.done_key()).arg("MINID").arg(&last);
                if link.call(&trim).is_ok() {
                    untrimmed = 0;
                }
            }
            if checked.elapsed() >= CHECK {
                let missing = self.find_missing(&mut link, &mut cursor, &mut last);
                self.watch_again(&mut link);
                if let Ok(missing) = missing {
                    checked = Instant::now();
                    if !lands.land(missing) {
                        return;
                    }
                }
            }
        }
    }

    /// Reads what has come behind `last`.
    fn read(
        &self,
        link: &mut Link,
        last: &mut String,
        wait: Duration,
    ) -> redis::RedisResult<Vec<Landed>> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(1000);
        if !wait.is_zero() {
            read.arg("BLOCK").arg(wait.as_millis() as u64);
        }
        read.arg("STREAMS").arg(self.done_key()).arg(last.as_str());
        let entries = link::entries_read(link.call_blocking(&read, wait)?);
        let mut shared = self.lock();
        let mut landed = Vec::new();
        for (entry, fields) in entries {
            *last = entry;
            let [_, id, _, outcome] = fields.as_slice() else {
                continue;
            };
            let id = String::from_utf8_lossy(id);
            let own = (wire::client_of(&id) == self.id)
                .then(|| id.rsplit_once('-')?.1.parse::<u64>().ok())
                .flatten();
            // Where there is none, it has ended already: cancelled, or told twice.
            let mut words = shared.watched.remove(&*id).unwrap_or_default();
            let open = own.and_then(|number| shared.open.remove(&number));
            words.extend(open.map(|open| open.word));
            for word in words {
                landed.push((word, Some(wire::read_outcome(outcome))));
            }
        }
        Ok(landed)
    }

    /// Asks once more for what others sent: the broker may have been emptied.
    fn watch_again(&self, link: &mut Link) {
        let watched: Vec<_> = self.lock().watched.keys().cloned().collect();
        for id in watched {
            let args = [self.id.clone(), id];
            // If it fails, it is asked again soon.
            let _later = link.run(|s| &s.watch, &self.keys(), &args);
        }
    }

    /// Tasks that the broker has neither as tasks nor as outcomes: it has lost them.
    fn find_missing(
        &self,
        link: &mut Link,
        cursor: &mut u64,
        last: &mut String,
    ) -> redis::RedisResult<Vec<Landed>> {
        let mut landed = Vec::new();
        // It is asked about some in turn, and about all once one is missing.
        loop {
            let piece: Vec<(u64, String)> = {
                let shared = self.lock();
                let open = shared.open.range(*cursor..);
                let known =
                    open.filter_map(|(n, open)| Some((*n, open.entry.clone()?)));
                known.take(CHECKED).collect()
            };
            *cursor = match piece.last() {
                Some((number, _)) if piece.len() == CHECKED => number + 1,
                _ => 0,
            };
            let entries: Vec<_> = piece.iter().map(|(_, entry)| entry).collect();
            let there = link.run(|s| &s.check, &self.keys(), &entries)?;
            let there = link::numbers(there);
            let missing = piece.iter().zip(there).filter(|(_, there)| *there == 0);
            let missing: Vec<u64> =
                missing.map(|((number, _), _)| *number).collect();
            if missing.is_empty() {
                return Ok(landed);
            }
            // Tasks leave the broker in the moment in which their outcomes are there.
            loop {
                let read = self.read(link, last, Duration::ZERO)?;
                if read.is_empty() {
                    break;
                }
                landed.extend(read);
            }
            let mut shared = self.lock();
            for number in missing {
                if let Some(open) = shared.open.remove(&number) {
                    landed.push((open.word, Some(Err(TaskError::Forgotten))));
                }
            }
            if *cursor == 0 {
                return Ok(landed);
            }
        }
    }
}

fn whole_number(next: u64, low: u32) -> u64 {
    next.saturating_sub(u64::from((next as u32).wrapping_sub(low)))
}

enum Errands {
    Submit(Vec<Parcel>),
    Cancel(Vec<u64>),
    Watch(String),
}
