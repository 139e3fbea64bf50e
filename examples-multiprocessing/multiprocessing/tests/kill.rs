//! Kills processes at random instants, while others work with them on one primitive.
//! No process may hang, what a lock protects may not be torn without notice, and nothing
//! may be left: no process, no descriptor, no file.
//!
//! `SEED` repeats a run, as far as the scheduler plays along; `KILLS` says how often
//! each primitive's workers are killed.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

use multiprocessing::{
    Acquired, Barrier, Condition, Connection, Event, Lock, Process, RLock, RawArray,
    RawValue, Semaphore, SharedMemory, Slot, Value, active_children, pipe,
};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction,
};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, alarm};
use signal_hook::consts::SIGUSR1;
use tutorial::harness::unique;

/// A worker that has made no step for this long hangs. A second is promised; a machine
/// with better things to do may add to it.
const HANG: Duration = Duration::from_secs(5);

fn main() {
    let seed = number_from("SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    });
    let kills = number_from("KILLS").unwrap_or(45);
    println!("SEED={seed} KILLS={kills}");
    let killer = Killer {
        random: Cell::new(seed | 1),
        kills,
    };

    // What the library opens once and keeps; and a parent that has taken a lock itself
    // must not be taken for its children.
    lock_keeps_a_pair_whole()(0);
    let mut nobody = Process::new(|| ());
    nobody.start().unwrap();
    nobody.join().unwrap();
    drop(nobody);

    block_size();
    let before = Belongings::count();
    killer.run("lock", lock_keeps_a_pair_whole().as_ref());
    killer.run("rlock", rlock_keeps_a_pair_whole().as_ref());
    killer.run("value", value_only_grows().as_ref());
    killer.run("semaphore", semaphore_gets_its_permits_back().as_ref());
    killer.run(
        "condition",
        condition_hands_on_what_a_dead_waiter_was_given().as_ref(),
    );
    killer.run("event", event_wakes_all_waiters().as_ref());
    killer.run("barrier", barrier_breaks_and_is_reset().as_ref());
    killer.run(
        "shared memory",
        shared_memory_is_made_and_removed().as_ref(),
    );
    for test in [
        a_party_that_dies_waiting_breaks_the_barrier,
        the_last_party_does_not_pass_with_waiters_that_have_all_died,
        a_later_waiter_does_not_take_an_earlier_waiters_notification,
        a_notification_wakes_one_waiter_though_the_lock_is_kept_beyond_a_slice,
        a_notification_for_killed_waiters_passes_on,
        a_process_that_is_interrupted_all_the_time_notices_a_death,
        calls_that_are_interrupted_all_the_time_end_as_others_do,
        the_permit_of_a_dead_process_comes_back_while_others_are_passed_on,
    ] {
        set_deadline();
        test();
    }
    before.assert_nothing_was_added();
}

/// A hang ends the whole by SIGALRM.
fn set_deadline() {
    alarm::set(60);
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < HANG, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn sleep_for_ever() {
    loop {
        thread::park();
    }
}

/// Starts a process that ends with this one, should that find something to complain
/// about.
fn start<'a>(work: impl FnOnce() + 'a) -> Process<'a> {
    let mut process = Process::builder().daemon(true).target(work);
    process.start().unwrap();
    process
}

fn pid(process: &Process<'_>) -> Pid {
    Pid::from_raw(process.pid().unwrap())
}

fn end(process: &Process<'_>) {
    process.kill().unwrap();
    process.join().unwrap();
}

fn a_later_waiter_does_not_take_an_earlier_waiters_notification() {
    let (condition, there) = (Condition::new().unwrap(), RawValue::new(0).unwrap());
    let waiter = start(|| {
        let _held = condition.lock();
        there.set(1);
        condition.wait().unwrap();
    });
    wait_until("nobody came", || there.get() == 1);
    let held = condition.lock();
    kill(pid(&waiter), Signal::SIGSTOP).unwrap();
    let stopped = waitpid(pid(&waiter), Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert!(matches!(stopped, WaitStatus::Stopped(..)), "{stopped:?}");
    condition.notify_all().unwrap();
    assert!(!condition.wait_timeout(Duration::ZERO).unwrap());
    drop(held);
    kill(pid(&waiter), Signal::SIGCONT).unwrap();
    assert!(
        waiter.join_timeout(HANG).unwrap(),
        "its notification is lost"
    );
    assert_eq!(waiter.exitcode(), Some(0));
}

/// Four processes that wait for a notification each, once they are counted, and count
/// their return.
fn waiters<'a>(
    condition: &'a Condition,
    waiting: &'a RawValue<u32>,
    returned: &'a RawValue<u32>,
) -> Vec<Process<'a>> {
    let waiters = (1..=4).map(|number| {
        let waiter = start(move || {
            let _held = condition.lock();
            waiting.set(number);
            condition.wait().unwrap();
            returned.set(returned.get() + 1);
        });
        wait_until("it does not wait", || waiting.get() == number);
        // Nobody holds the lock once it waits.
        drop(condition.lock());
        waiter
    });
    waiters.collect()
}

fn a_notification_wakes_one_waiter_though_the_lock_is_kept_beyond_a_slice() {
    let condition = Condition::new().unwrap();
    let (waiting, returned) = (RawValue::new(0).unwrap(), RawValue::new(0).unwrap());
    let waiters = waiters(&condition, &waiting, &returned);
    for number in 1..=4 {
        let held = condition.lock();
        condition.notify(1).unwrap();
        // The slices of all end meanwhile.
        thread::sleep(Duration::from_millis(150));
        drop(held);
        wait_until("nobody was woken", || returned.get() == number);
        thread::sleep(Duration::from_millis(150));
        let _held = condition.lock();
        assert_eq!(returned.get(), number, "after as many notifications");
    }
    for waiter in waiters {
        waiter.join().unwrap();
    }
}

fn a_notification_for_killed_waiters_passes_on() {
    let condition = Condition::new().unwrap();
    let (waiting, returned) = (RawValue::new(0).unwrap(), RawValue::new(0).unwrap());
    let waiters = waiters(&condition, &waiting, &returned);
    // Two die before they are notified, and one after it.
    end(&waiters[0]);
    end(&waiters[1]);
    let held = condition.lock();
    condition.notify(3).unwrap();
    end(&waiters[2]);
    drop(held);
    let start = Instant::now();
    wait_until("the notification is lost", || returned.get() == 1);
    println!("a notification passed on after {:.0?}", start.elapsed());
    waiters[3].join().unwrap();
}

fn a_process_that_is_interrupted_all_the_time_notices_a_death() {
    let lock = Lock::new().unwrap();
    let stage = RawValue::new(0).unwrap();
    let holder = start(|| {
        lock.acquire();
        stage.set(1);
        sleep_for_ever();
    });
    wait_until("nobody took the lock", || stage.get() == 1);
    let waiter = start(|| {
        signal_hook::flag::register(SIGUSR1, Arc::default()).unwrap();
        stage.set(2);
        assert_eq!(lock.acquire(), Acquired::PredecessorDied);
    });
    wait_until("nobody waits", || stage.get() == 2);
    end(&holder);
    let start = Instant::now();
    while !waiter.join_timeout(Duration::from_millis(20)).unwrap() {
        assert!(start.elapsed() < HANG, "it waits for the dead");
        kill(pid(&waiter), Signal::SIGUSR1).unwrap();
    }
    assert_eq!(waiter.exitcode(), Some(0));
}

/// As the handlers of a program do that sets no `SA_RESTART`: each signal ends a call of
/// the system.
fn interrupt_calls_on(signal: Signal) {
    extern "C" fn nothing(_: i32) {}
    let handler = SigHandler::Handler(nothing);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    #[expect(unsafe_code, reason = "a handler may do what no safe code can check")]
    // SAFETY: it does nothing.
    unsafe { sigaction(signal, &action) }.unwrap();
}

/// Returns how many messages there were, at most so many.
fn receive_some(connection: &Connection, most: usize) -> usize {
    let mut received = 0;
    while received < most && connection.poll(Duration::ZERO).unwrap() {
        let message = connection.recv_bytes().unwrap();
        assert!(message.iter().all(|byte| *byte == 7));
        received += 1;
    }
    received
}

fn calls_that_are_interrupted_all_the_time_end_as_others_do() {
    const WAIT: Duration = Duration::from_millis(100);
    // More than there is room for, in each of the two forms in which it is sent.
    const MESSAGES: [(usize, usize); 2] = [(40, 100_000), (400, 10)];
    let (here, there) = pipe(true).unwrap();
    let stage = RawValue::new(0).unwrap();
    let mut caller = Process::new(|| {
        interrupt_calls_on(Signal::SIGUSR1);
        stage.set(1);
        let start = Instant::now();
        assert!(!there.poll(WAIT).unwrap() && start.elapsed() >= WAIT);
        stage.set(2);
        assert_eq!(there.recv::<u32>().unwrap(), 7);
        stage.set(3);
        for (count, length) in MESSAGES {
            let message = vec![7_u8; length];
            (0..count).for_each(|_| there.send_bytes(&message).unwrap());
        }
        let mut child = Process::new(|| thread::sleep(WAIT));
        child.start().unwrap();
        child.join().unwrap();
        assert_eq!(child.exitcode(), Some(0));
    });
    caller.start().unwrap();
    wait_until("it does not begin", || stage.get() == 1);
    let (start, mut received) = (Instant::now(), 0);
    // Each stage lasts for some interruptions.
    for interruption in 0.. {
        if caller.join_timeout(Duration::from_millis(3)).unwrap() {
            break;
        }
        assert!(start.elapsed() < HANG, "it does not end");
        kill(pid(&caller), Signal::SIGUSR1).unwrap();
        if interruption % 10 != 9 {
            continue;
        }
        if stage.get() == 2 {
            here.send(&7_u32).unwrap();
        }
        // Few enough for the sender to find no room again and again.
        received += receive_some(&here, 10);
    }
    received += receive_some(&here, usize::MAX);
    let sent = MESSAGES.iter().map(|(count, _)| count).sum();
    assert_eq!((caller.exitcode(), received), (Some(0), sent));
}

/// Waiters are woken long before their slice is over.
fn the_permit_of_a_dead_process_comes_back_while_others_are_passed_on() {
    let (semaphore, stage) = (Semaphore::new(2).unwrap(), RawValue::new(0).unwrap());
    let inside = Value::new(0).unwrap();
    let holder = start(|| {
        let _permit = semaphore.permit();
        stage.set(1);
        sleep_for_ever();
    });
    wait_until("nobody took a permit", || stage.get() == 1);
    let others = [(); 3].map(|()| {
        start(|| {
            loop {
                let permit = semaphore.permit();
                let add = |n: &mut i32| {
                    *n += 1;
                    *n
                };
                if inside.with_lock(add) == 2 {
                    stage.set(2);
                }
                thread::sleep(Duration::from_millis(5));
                inside.with_lock(|n| *n -= 1);
                drop(permit);
            }
        })
    });
    thread::sleep(Duration::from_millis(20));
    end(&holder);
    wait_until("the permit is lost", || stage.get() == 2);
    others.iter().for_each(end);
}

fn a_party_that_dies_waiting_breaks_the_barrier() {
    let barrier = Barrier::new(3).unwrap();
    let wait = || assert!(barrier.wait().is_err());
    let parties = [(); 2].map(|()| start(wait));
    wait_until("nobody waits", || barrier.n_waiting() == 2);
    parties[0].kill().unwrap();
    assert!(
        parties[1].join_timeout(HANG).unwrap(),
        "it waits for the dead"
    );
    assert!(parties[1].exitcode() == Some(0) && barrier.broken());
    parties[0].join().unwrap();
}

fn the_last_party_does_not_pass_with_waiters_that_have_all_died() {
    let barrier = Barrier::new(3).unwrap();
    let waiters: Vec<_> = (0..2)
        .map(|_| start(|| assert!(barrier.wait_timeout(HANG).is_ok())))
        .collect();
    wait_until("two wait", || barrier.n_waiting() == 2);
    for waiter in &waiters {
        end(waiter);
    }
    assert!(barrier.wait().is_err());
    assert!(barrier.broken());
}

fn number_from(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// One step of a worker, which gets its number.
type Step<'a> = Box<dyn Fn(usize) + 'a>;

const WORKERS: usize = 4;

struct Killer {
    random: Cell<u64>,
    kills: u64,
}

impl Killer {
    /// Xorshift: the same numbers for the same seed.
    fn random(&self, range: Range<u64>) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        range.start + x % (range.end - range.start)
    }

    /// Keeps a few workers stepping and killing one of them after another.
    fn run(&self, name: &str, step: &dyn Fn(usize)) {
        let began = Instant::now();
        let steps = &RawArray::<u64>::zeroed(WORKERS).unwrap();
        let hire = |number: usize| {
            let work = move || {
                loop {
                    step(number);
                    steps[number].set(steps[number].get() + 1);
                }
            };
            start(work)
        };
        let mut workers: Vec<_> = (0..WORKERS).map(hire).collect();
        let mut longest = Duration::ZERO;
        for _ in 0..self.kills {
            set_deadline();
            thread::sleep(Duration::from_micros(self.random(0..2000)));
            let victim = self.random(0..WORKERS as u64) as usize;
            end(&workers[victim]);
            assert_eq!(
                workers[victim].exitcode(),
                Some(-9),
                "{name}: it complained"
            );
            workers[victim] = hire(victim);
            longest = longest.max(everybody_makes_a_step(name, steps));
        }
        for worker in &workers {
            end(worker);
            assert_eq!(worker.exitcode(), Some(-9), "{name}: it complained");
        }
        println!(
            "{name}: {} killed in {:.1?}, {} steps, nobody waited longer than {longest:.0?}",
            self.kills + WORKERS as u64,
            began.elapsed(),
            steps.iter().map(Slot::get).sum::<u64>(),
        );
    }
}

/// Returns how long that took.
fn everybody_makes_a_step(name: &str, steps: &RawArray<u64>) -> Duration {
    let start = Instant::now();
    let before: Vec<_> = steps.iter().map(Slot::get).collect();
    while steps
        .iter()
        .zip(&before)
        .any(|(now, before)| now.get() == *before)
    {
        let now: Vec<_> = steps.iter().map(Slot::get).collect();
        assert!(
            start.elapsed() < HANG,
            "{name}: {before:?}, and {HANG:?} later {now:?}"
        );
        thread::sleep(Duration::from_micros(100));
    }
    start.elapsed()
}

/// A step without the lock, so that not everybody dies with it held.
fn do_something_else() {
    for i in 0..2000 {
        std::hint::black_box(i);
    }
}

/// Two numbers that differ only while the lock is held.
struct Pair(RawValue<u64>, RawValue<u64>);

impl Pair {
    fn new() -> Self {
        Self(RawValue::new(0).unwrap(), RawValue::new(0).unwrap())
    }

    fn change(&self, acquired: Acquired) {
        let (first, second) = (self.0.get(), self.1.get());
        match acquired {
            Acquired::Clean => assert_eq!(first, second, "torn without notice"),
            Acquired::PredecessorDied => {
                assert!(first - second <= 1);
                self.1.set(first);
            }
        }
        self.0.set(first + 1);
        do_something_else();
        self.1.set(first + 1);
    }
}

fn lock_keeps_a_pair_whole() -> Step<'static> {
    let (lock, pair) = (Lock::new().unwrap(), Pair::new());
    Box::new(move |_| {
        pair.change(lock.acquire());
        lock.release().unwrap();
        do_something_else();
    })
}

fn rlock_keeps_a_pair_whole() -> Step<'static> {
    let (lock, pair) = (RLock::new().unwrap(), Pair::new());
    Box::new(move |_| {
        let acquired = lock.acquire();
        assert_eq!(lock.acquire(), acquired);
        pair.change(acquired);
        lock.release().unwrap();
        lock.release().unwrap();
        do_something_else();
    })
}

fn value_only_grows() -> Step<'static> {
    let (value, seen) = (Value::new(0_u64).unwrap(), Cell::new(0));
    Box::new(move |_| {
        value.with_lock(|value| *value += 1);
        assert!(value.get() > seen.replace(value.get()));
        do_something_else();
    })
}

fn semaphore_gets_its_permits_back() -> Step<'static> {
    let semaphore = Semaphore::new(2).unwrap();
    Box::new(move |_| {
        let permit = semaphore.permit();
        assert!(semaphore.get_value() <= 1);
        do_something_else();
        drop(permit);
        assert!(semaphore.get_value() <= 2);
        do_something_else();
    })
}

/// The workers take turns. A worker whose turn it is not waits, and one that was killed in
/// its turn is followed by its replacement.
fn condition_hands_on_what_a_dead_waiter_was_given() -> Step<'static> {
    let (condition, turn) = (Condition::new().unwrap(), RawValue::new(0).unwrap());
    Box::new(move |number| {
        let held = condition.lock();
        condition.wait_for(|| turn.get() == number).unwrap();
        // First: a worker that is killed in between still has its turn.
        condition.notify_all().unwrap();
        turn.set((number + 1) % WORKERS);
        drop(held);
    })
}

/// One worker raises and lowers the flag for the others.
fn event_wakes_all_waiters() -> Step<'static> {
    let event = Event::new().unwrap();
    Box::new(move |number| {
        if number == 0 {
            event.set();
            do_something_else();
            event.clear();
        } else {
            event.wait();
        }
    })
}

fn barrier_breaks_and_is_reset() -> Step<'static> {
    let barrier = Barrier::new(WORKERS as u32).unwrap();
    Box::new(move |_| match barrier.wait() {
        Ok(index) => assert!(index < WORKERS),
        Err(_broken) => barrier.reset(),
    })
}

/// The size of the blocks that this program and its children make: blocks of another one
/// that runs meanwhile are of another size.
fn block_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| 5000 + std::process::id() as usize)
}

/// Each worker has a name that it and the others want.
fn shared_memory_is_made_and_removed() -> Step<'static> {
    let name = unique("kill-test");
    Box::new(move |number| {
        let named =
            SharedMemory::create(&format!("{name}-{}", number / 2), block_size());
        let nameless = SharedMemory::new(block_size()).unwrap();
        nameless.bytes().unwrap()[4999].set(1);
        if let Ok(named) = &named {
            // Only its maker removes it.
            SharedMemory::attach(named.name()).unwrap();
        }
    })
}

/// Everything that a process can leave behind.
struct Belongings {
    descriptors: usize,
    files: BTreeSet<PathBuf>,
}

impl Belongings {
    fn count() -> Self {
        let is_ours = |entry: &DirEntry| {
            let file = entry.metadata();
            file.is_ok_and(|file| file.len() == block_size() as u64)
        };
        let blocks = fs::read_dir("/dev/shm").unwrap().map(Result::unwrap);
        Self {
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            files: blocks.filter(is_ours).map(|block| block.path()).collect(),
        }
    }

    fn assert_nothing_was_added(&self) {
        assert!(active_children().is_empty());
        let children = fs::read_to_string("/proc/thread-self/children").unwrap();
        assert_eq!(children, "", "children are left");

        let descriptors = Self::count().descriptors;
        assert_eq!(descriptors, self.descriptors, "descriptors are left");

        // Those that are there from now on: another run of this test may add its own.
        let mut left = &Self::count().files - &self.files;
        let start = Instant::now();
        while !left.is_empty() {
            assert!(start.elapsed() < HANG, "files are left: {left:?}");
            thread::sleep(Duration::from_millis(1));
            left = &left & &Self::count().files;
        }
    }
}
