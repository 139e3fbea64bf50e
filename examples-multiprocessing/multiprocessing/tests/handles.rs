//! A handle in another process, forked or spawned, is a handle of the same thing; and
//! what it must not do there it does not.

use std::time::Duration;
use std::{fs, mem};

use multiprocessing::{
    Acquired, Array, Barrier, BoundedSemaphore, Condition, Connection, Error, Event,
    Lock, Process, ProcessError, PutError, Queue, RLock, RawArray, RawValue,
    RecvError, Semaphore, SharedMemory, Value, freeze_support, pipe,
};
use nix::unistd::alarm;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tutorial::harness::unique;

fn main() {
    freeze_support();
    // A hang ends the whole by SIGALRM.
    alarm::set(60);
    every_handle_stays_connected_in_a_spawned_process();
    a_handle_arrives_as_nothing_but_what_it_was_sent_as();
    clones_of_a_queue_are_clones_in_a_spawned_process();
    one_connection_serves_several_children();
    memory_cannot_be_cut_short();
    a_lock_that_a_spawned_process_died_with_is_noticed();
    a_time_out_gives_what_is_free_and_nothing_else();
    guards_in_a_forked_process_release_nothing();
    numbers_that_are_locked_are_not_forked();
    a_block_belongs_to_the_process_that_made_it();
    a_block_keeps_nothing_else_open();
    a_block_name_reused_by_another_program_is_kept();
    an_empty_file_is_no_block_and_not_a_missing_one();
    an_attached_block_keeps_its_memory_when_its_name_is_removed();
    a_second_block_of_the_same_name_is_refused();
    a_block_for_which_there_is_no_memory_is_refused_at_its_first_use();
}

fn run(mut process: Process<'_>) -> Option<i32> {
    process.start().unwrap();
    match process.join() {
        Ok(()) | Err(ProcessError::FunctionNotRun(_)) => process.exitcode(),
        Err(error) => panic!("{error}"),
    }
}

type Locks = (Lock, RLock, Semaphore, BoundedSemaphore);
type Others = (Event, Condition, Barrier);
type Raw = (RawValue<i64>, RawArray<u32>);
type Numbers = (Value<f64>, Array<u8>, Raw, SharedMemory);

fn every_handle_stays_connected_in_a_spawned_process() {
    let lock = Lock::new().unwrap();
    let rlock = RLock::new().unwrap();
    let semaphore = Semaphore::new(1).unwrap();
    let bounded = BoundedSemaphore::new(1).unwrap();
    let event = Event::new().unwrap();
    let condition = Condition::new().unwrap();
    let barrier = Barrier::new(2).unwrap();
    let value = Value::new(1.5).unwrap();
    let array = Array::new(0_u8..3).unwrap();
    let raw = (
        RawValue::new(7_i64).unwrap(),
        RawArray::new([0_u32; 2]).unwrap(),
    );
    let block = SharedMemory::new(1).unwrap();

    lock.acquire();
    let held = rlock.lock();
    let permit = semaphore.permit();
    let locks = (
        lock.clone(),
        rlock.clone(),
        semaphore.clone(),
        bounded.clone(),
    );
    let others = (event.clone(), condition.clone(), barrier.clone());
    let attached = SharedMemory::attach(block.name()).unwrap();
    let numbers = (value.clone(), array.clone(), raw.clone(), attached);
    let there = |(locks, others, numbers): (Locks, Others, Numbers)| {
        let (lock, rlock, semaphore, bounded) = locks;
        assert_eq!(lock.try_acquire(), None);
        assert_eq!(rlock.try_acquire(), None);
        assert!(!semaphore.try_acquire());
        bounded.acquire();
        let (event, condition, barrier) = others;
        event.set();
        let _held = condition.lock();
        assert_eq!(barrier.parties(), 2);
        barrier.abort();
        let (value, array, (raw_value, raw_array), block) = numbers;
        *value.lock() += 1.0;
        array.lock().reverse();
        raw_value.set(-7);
        raw_array[1].set(9);
        block.bytes().unwrap()[0].set(42);
    };
    let argument = (locks, others, numbers);
    assert_eq!(run(Process::spawned(there, argument)), Some(0));

    assert!(event.is_set() && barrier.broken());
    assert_eq!((bounded.get_value(), value.get()), (0, 2.5));
    assert_eq!(array.to_vec(), [2, 1, 0]);
    assert_eq!((raw.0.get(), raw.1[1].get()), (-7, 9));
    assert_eq!(block.bytes().unwrap()[0].get(), 42);
    drop((held, permit));
}

/// Is sent as an `A` and received as a `B`.
struct Disguised<A, B>(Option<A>, Option<B>);

impl<A: Serialize, B> Serialize for Disguised<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().unwrap().serialize(serializer)
    }
}

impl<'de, A, B: Deserialize<'de>> Deserialize<'de> for Disguised<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        B::deserialize(deserializer).map(|received| Self(None, Some(received)))
    }
}

fn arrives<A, B>(sent: A) -> bool
where
    A: Serialize + 'static,
    B: DeserializeOwned + 'static,
{
    fn work<A, B>(argument: Disguised<A, B>) {
        assert!(argument.1.is_some());
    }
    run(Process::spawned(work::<A, B>, Disguised(Some(sent), None))) == Some(0)
}

fn a_handle_arrives_as_nothing_but_what_it_was_sent_as() {
    let array = || Array::new([1_u64, 2]).unwrap();
    assert!(arrives::<_, Array<u64>>(array()));
    assert!(!arrives::<_, Lock>(array()));
    assert!(!arrives::<_, Connection>(array()));
    assert!(!arrives::<_, Array<i64>>(array()));
    assert!(!arrives::<_, RawArray<u64>>(array()));
    assert!(!arrives::<_, Value<u64>>(array()));
    assert!(!arrives::<_, Event>(Lock::new().unwrap()));
    assert!(!arrives::<_, Lock>(Event::new().unwrap()));
    assert!(!arrives::<_, Queue<u64>>(array()));
    assert!(!arrives::<_, Lock>(pipe(true).unwrap().0));
}

fn clones_of_a_queue_are_clones_in_a_spawned_process() {
    type Queues = (Queue<i32>, Queue<i32>, Queue<i32>);
    fn work((one, clone, other): Queues) {
        one.close();
        assert!(matches!(clone.put(1), Err(PutError::Closed(1))));
        other.put(2).unwrap();
    }
    let (queue, other) = (Queue::new(0).unwrap(), Queue::new(0).unwrap());
    let queues = (queue.clone(), queue.clone(), other.clone());
    assert_eq!(run(Process::spawned(work, queues)), Some(0));
    assert_eq!((queue.qsize(), other.get()), (0, Ok(2)));
}

fn report((sender, n): (Connection, u32)) {
    sender.send(&n).unwrap();
}

/// An end that is in an argument twice is closed with the second.
fn report_twice((first, second): (Connection, Connection)) {
    first.send(&1_u32).unwrap();
    first.close();
    second.send(&2_u32).unwrap();
}

fn one_connection_serves_several_children() {
    let received = |start: &dyn Fn(&Connection) -> Vec<Process<'static>>| {
        let (receiver, sender) = pipe(false).unwrap();
        let children: Vec<_> = start(&sender).into_iter().map(run).collect();
        assert!(children.iter().all(|code| *code == Some(0)), "{children:?}");
        drop(sender);
        // It ends only if no clone was left behind here.
        let mut numbers: Vec<u32> = std::iter::from_fn(|| {
            let ready = receiver.poll(Duration::from_secs(10)).unwrap();
            assert!(ready, "a clone was left behind");
            receiver.recv().ok()
        })
        .collect();
        numbers.sort_unstable();
        numbers
    };
    let numbers = received(&|sender| {
        let child = |n| Process::spawned(report, (sender.clone(), n));
        (1..=3).map(child).collect()
    });
    assert_eq!(numbers, [1, 2, 3]);
    let numbers = received(&|sender| {
        let child = |n| {
            let sender = sender.clone();
            Process::new(move || report((sender, n)))
        };
        (1..=3).map(child).collect()
    });
    assert_eq!(numbers, [1, 2, 3]);
    let numbers = received(&|sender| {
        let argument = (sender.clone(), sender.clone());
        vec![Process::spawned(report_twice, argument)]
    });
    assert_eq!(numbers, [1, 2]);
}

/// As every program may try, by the names of its own descriptors.
fn memory_cannot_be_cut_short() {
    let array = Array::new([7_u64]).unwrap();
    let queue: Queue<i32> = Queue::new(0).unwrap();
    let mut tried = 0;
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        let target = fs::read_link(&path).unwrap_or_default();
        if target.to_string_lossy().contains("memfd:multiprocessing") {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            assert!(file.set_len(0).is_err());
            tried += 1;
        }
    }
    assert!(tried >= 2);
    assert_eq!((array.to_vec(), queue.qsize()), (vec![7], 0));
}

fn a_lock_that_a_spawned_process_died_with_is_noticed() {
    type Held = (Lock, Lock, RLock, Value<u32>, Array<u32>);
    fn take((lock, other, rlock, value, array): Held) {
        assert_eq!(lock.acquire(), Acquired::Clean);
        let guards = (other.lock(), rlock.lock());
        let numbers = (value.lock(), array.lock());
        assert!(!guards.0.predecessor_died() && !guards.1.predecessor_died());
        assert!(!numbers.0.predecessor_died() && !numbers.1.predecessor_died());
        mem::forget((guards, numbers));
    }
    let (lock, other) = (Lock::new().unwrap(), Lock::new().unwrap());
    let rlock = RLock::new().unwrap();
    let (value, array) = (Value::new(1).unwrap(), Array::new([1]).unwrap());
    let held = (
        lock.clone(),
        other.clone(),
        rlock.clone(),
        value.clone(),
        array.clone(),
    );
    assert_eq!(run(Process::spawned(take, held)), Some(0));
    assert_eq!(lock.acquire(), Acquired::PredecessorDied);
    assert!(other.lock().predecessor_died() && rlock.lock().predecessor_died());
    assert!(value.lock().predecessor_died() && array.lock().predecessor_died());
    // Once is enough.
    assert!(!other.lock().predecessor_died() && !rlock.lock().predecessor_died());
    assert!(!value.lock().predecessor_died() && !array.lock().predecessor_died());
}

fn a_time_out_gives_what_is_free_and_nothing_else() {
    let moment = Duration::from_millis(1);
    let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
    let held = lock.lock_timeout(moment);
    assert!(held.is_some() && lock.lock_timeout(moment).is_none());
    assert!(lock.try_lock().is_none());
    drop(held);
    assert!(lock.try_lock().is_some());
    assert_eq!(lock.acquire_timeout(moment), Some(Acquired::Clean));
    assert_eq!(rlock.acquire_timeout(moment), Some(Acquired::Clean));

    let semaphore = Semaphore::new(1).unwrap();
    let permit = semaphore.permit_timeout(moment);
    assert!(permit.is_some() && semaphore.permit_timeout(moment).is_none());
    drop(permit);
    assert!(semaphore.acquire_timeout(moment));
    let bounded = BoundedSemaphore::new(1).unwrap();
    let permit = bounded.permit_timeout(moment);
    assert!(permit.is_some() && bounded.permit_timeout(moment).is_none());
    assert!(!bounded.acquire_timeout(moment) && !bounded.try_acquire());
    drop(permit);
    assert!(bounded.acquire_timeout(moment));

    let event = Event::new().unwrap();
    assert!(!event.is_set() && !event.wait_timeout(moment));
    event.set();
    assert!(event.is_set() && event.wait_timeout(moment));
    event.clear();
    assert!(!event.is_set() && !event.wait_timeout(moment));
}

fn guards_in_a_forked_process_release_nothing() {
    let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
    let semaphore = Semaphore::new(1).unwrap();
    let mut guards = Some((lock.lock(), rlock.lock(), semaphore.permit()));
    let drop_copies = || {
        drop(guards.take());
        assert!(lock.try_acquire().is_none() && rlock.try_acquire().is_none());
        assert!(rlock.release().is_err() && !semaphore.try_acquire());
    };
    assert_eq!(run(Process::new(drop_copies)), Some(0));
    assert!(lock.try_acquire().is_none() && !semaphore.try_acquire());
    drop(guards);
    assert!(lock.try_acquire().is_some() && semaphore.try_acquire());
}

fn numbers_that_are_locked_are_not_forked() {
    let (value, array) = (Value::new(1).unwrap(), Array::new([1, 2]).unwrap());
    let mut child = Process::new(|| assert_eq!(*value.lock() + array.lock()[1], 3));
    let of_value = value.lock();
    let of_array = array.lock();
    let refused = |start: Result<(), ProcessError>| {
        assert!(
            matches!(start, Err(ProcessError::NumbersLocked)),
            "{start:?}"
        );
    };
    refused(child.start());
    drop(of_value);
    refused(child.start());
    drop(of_array);
    assert_eq!(run(child), Some(0));
}

fn a_block_belongs_to_the_process_that_made_it() {
    let name = unique("handles-test");
    let (named, nameless) = (
        SharedMemory::create(&name, 10).unwrap(),
        SharedMemory::new(10).unwrap(),
    );
    let nameless_name = nameless.name().to_string();
    let mut child = Process::builder().target(|| {
        // Safe code can drop what it got by a fork: here, what it takes for its own.
        drop(SharedMemory::attach(&name).unwrap());
    });
    child.start().unwrap();
    child.join().unwrap();
    assert_eq!(child.exitcode(), Some(0));
    let mut slot = Some((named, nameless));
    let drop_it = || {
        drop(slot.take());
        SharedMemory::attach(&name).unwrap();
        SharedMemory::attach(&nameless_name).unwrap();
    };
    assert_eq!(run(Process::new(drop_it)), Some(0));
    assert!(SharedMemory::attach(&name).is_ok());
    drop(slot);
    assert!(matches!(
        SharedMemory::attach(&name),
        Err(Error::NoSuchBlock { .. })
    ));
    assert!(SharedMemory::attach(&nameless_name).is_err());
}

/// What removes the block if this process is killed has none of its descriptors.
fn a_block_keeps_nothing_else_open() {
    let work = || {
        let (receiver, sender) = pipe(false).unwrap();
        let block = SharedMemory::new(10).unwrap();
        drop(sender);
        assert!(receiver.poll(Duration::from_secs(10)).unwrap(), "no end");
        assert!(matches!(receiver.recv::<()>(), Err(RecvError::EndOfFile)));
        drop(block);
    };
    // In a process that has made no block yet.
    assert_eq!(run(Process::new(work)), Some(0));
}

fn an_empty_file_is_no_block_and_not_a_missing_one() {
    let name = unique("handles-test");
    let file = format!("/dev/shm/{name}");
    fs::write(&file, "").unwrap();
    let refused = SharedMemory::attach(&name).unwrap_err();
    fs::remove_file(&file).unwrap();
    assert!(matches!(refused, Error::System { .. }), "{refused:?}");
}

fn a_block_name_reused_by_another_program_is_kept() {
    let name = unique("handles-test");
    let file = format!("/dev/shm/{name}");
    let block = SharedMemory::create(&name, 1).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, "a stranger's").unwrap();
    drop(block);
    assert_eq!(fs::read_to_string(&file).unwrap(), "a stranger's");
    fs::remove_file(&file).unwrap();
}

fn an_attached_block_keeps_its_memory_when_its_name_is_removed() {
    let block = SharedMemory::new(5000).unwrap();
    let guest = SharedMemory::attach(block.name()).unwrap();
    drop(block);
    guest.bytes().unwrap()[4999].set(1);
}

fn a_second_block_of_the_same_name_is_refused() {
    let name = unique("handles-test");
    let _first = SharedMemory::create(&name, 1).unwrap();
    let second = SharedMemory::create(&name, 1);
    assert!(matches!(second, Err(Error::BlockExists { .. })));
    for bad in ["", "a/b", ".", "..", "a\0b", &"a".repeat(248)] {
        let refused = SharedMemory::create(bad, 1);
        assert!(matches!(refused, Err(Error::BlockName { .. })), "{bad:?}");
    }
    assert!(SharedMemory::new(0).is_err());
}

fn a_block_for_which_there_is_no_memory_is_refused_at_its_first_use() {
    let block = SharedMemory::new(1 << 45).unwrap();
    let refused = block.bytes().err().unwrap();
    assert!(refused.to_string().contains("No space left"), "{refused}");
    drop(block);
    let small = SharedMemory::new(5000).unwrap();
    assert_eq!(small.size(), 5000);
    assert!(small.bytes().unwrap().iter().all(|byte| byte.get() == 0));
    let file = fs::metadata(format!("/dev/shm/{}", small.name())).unwrap();
    assert_eq!(file.len(), 5000);
}
