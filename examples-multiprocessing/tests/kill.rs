//! Kills processes at random instants, while others work with them on one primitive.
//! Nobody may hang, what a lock protects may not be torn without notice, and nothing
//! may be left: no process, no descriptor, no file.
//!
//! `SEED` repeats a run, as far as the scheduler plays along; `KILLS` says how often
//! each primitive's workers are killed.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

use examples_multiprocessing::{
    Acquired, Barrier, Condition, Event, Lock, Process, RLock, RawArray, RawValue,
    Semaphore, SharedMemory, Slot, Value, active_children,
};

/// Who has made no step for so long hangs. A second is what is promised; a machine
/// with better things to do may add to it.
const HANG: Duration = Duration::from_secs(5);

fn main() {
    let seed = number_from("SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    });
    let kills = number_from("KILLS").unwrap_or(100);
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

    let before = Belongings::count();
    killer.run("lock", lock_keeps_a_pair_whole().as_ref());
    killer.run("rlock", rlock_keeps_a_pair_whole().as_ref());
    killer.run("value", value_only_grows().as_ref());
    killer.run("semaphore", semaphore_gets_its_permits_back().as_ref());
    killer.run("condition", condition_passes_the_turn_on().as_ref());
    killer.run("event", event_lets_everybody_go_on().as_ref());
    killer.run("barrier", barrier_breaks_and_is_reset().as_ref());
    killer.run("shared memory", shared_memory_comes_and_goes().as_ref());
    a_party_that_dies_waiting_breaks_the_barrier();
    before.insist_that_nothing_was_added();
}

fn a_party_that_dies_waiting_breaks_the_barrier() {
    let barrier = Barrier::new(3).unwrap();
    let wait = || assert!(barrier.wait().is_err());
    let builder = Process::builder().daemon(true);
    let mut parties = [(); 2].map(|()| builder.clone().target(wait));
    for party in &mut parties {
        party.start().unwrap();
    }
    while barrier.n_waiting() < 2 {
        thread::sleep(Duration::from_millis(1));
    }
    parties[0].kill().unwrap();
    assert!(
        parties[1].join_timeout(HANG).unwrap(),
        "it waits for the dead"
    );
    assert!(parties[1].exitcode() == Some(0) && barrier.broken());
    parties[0].join().unwrap();
}

fn number_from(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// One step of a worker, which is told its number and where it can count on.
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
        let start = Instant::now();
        let steps = &RawArray::<u64>::zeroed(WORKERS).unwrap();
        let hire = |number: usize| {
            let work = move || {
                loop {
                    step(number);
                    steps[number].set(steps[number].get() + 1);
                }
            };
            // Ended with this process, should it find something to complain about.
            let mut worker = Process::builder().daemon(true).target(work);
            worker.start().unwrap();
            worker
        };
        let mut workers: Vec<_> = (0..WORKERS).map(hire).collect();
        let mut longest = Duration::ZERO;
        for _ in 0..self.kills {
            thread::sleep(Duration::from_micros(self.random(0..2000)));
            let victim = self.random(0..WORKERS as u64) as usize;
            workers[victim].kill().unwrap();
            workers[victim].join().unwrap();
            assert_eq!(
                workers[victim].exitcode(),
                Some(-9),
                "{name}: it complained"
            );
            workers[victim] = hire(victim);
            longest = longest.max(everybody_makes_a_step(name, steps));
        }
        for worker in &workers {
            worker.kill().unwrap();
            worker.join().unwrap();
            assert_eq!(worker.exitcode(), Some(-9), "{name}: it complained");
        }
        println!(
            "{name}: {} killed in {:.1?}, {} steps, nobody waited longer than {longest:.0?}",
            self.kills + WORKERS as u64,
            start.elapsed(),
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

/// The workers take turns. Who finds that it is not its turn waits, and who was killed
/// in its turn is followed by its replacement.
fn condition_passes_the_turn_on() -> Step<'static> {
    let (condition, turn) = (Condition::new().unwrap(), RawValue::new(0).unwrap());
    Box::new(move |number| {
        let held = condition.lock();
        condition.wait_for(|| turn.get() == number).unwrap();
        turn.set((number + 1) % WORKERS);
        condition.notify_all().unwrap();
        drop(held);
    })
}

/// One worker raises and lowers the flag for the others.
fn event_lets_everybody_go_on() -> Step<'static> {
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

/// Each worker has a name that it and the others want.
fn shared_memory_comes_and_goes() -> Step<'static> {
    let name = format!("kill-test-{}", std::process::id());
    Box::new(move |number| {
        let named = SharedMemory::create(&format!("{name}-{}", number / 2), 5000);
        let nameless = SharedMemory::new(5000).unwrap();
        nameless.bytes().unwrap()[4999].set(1);
        if let Ok(named) = &named {
            // Nobody but its maker removes it.
            SharedMemory::attach(named.name()).unwrap();
        }
    })
}

/// What a process can leave behind.
struct Belongings {
    descriptors: usize,
    files: BTreeSet<String>,
}

impl Belongings {
    fn count() -> Self {
        let names = |directory| {
            let entries = fs::read_dir(directory).unwrap();
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        };
        let ours =
            |name: &String| name.starts_with("mp-") || name.contains("kill-test");
        Self {
            descriptors: names("/proc/self/fd").count(),
            files: names("/dev/shm").filter(ours).collect(),
        }
    }

    fn insist_that_nothing_was_added(&self) {
        assert!(active_children().is_empty());
        let children = fs::read_to_string("/proc/thread-self/children").unwrap();
        assert_eq!(children, "", "children are left");

        let descriptors = Self::count().descriptors;
        assert_eq!(descriptors, self.descriptors, "descriptors are left");

        let start = Instant::now();
        loop {
            let files = Self::count().files;
            let left: Vec<_> = files.difference(&self.files).collect();
            if left.is_empty() {
                break;
            }
            assert!(start.elapsed() < HANG, "files are left: {left:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
