//! What does a lock cost that other processes know, too?

use std::mem;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bench::sys::PthreadMutex;
use bench::{Bench, By, Part, Placement, Race, Row, Scenario, share};
use multiprocessing::{Lock, RLock, RawValue, Semaphore, Value, cpu_count};

use crate::work::{spinning, without_spinning};

const QUESTION: &str = "locks";

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    for workers in bench::worker_counts() {
        if workers == 2 {
            for placement in Placement::all() {
                at(workers, placement, bench)?;
            }
        } else {
            at(workers, Placement::Free, bench)?;
        }
    }
    Ok(())
}

/// A lock and the number under it.
trait Holds: Sync {
    fn hold(&self, work: impl FnOnce(&mut u64));

    /// The number, which is zero afterwards.
    fn take(&self) -> u64 {
        let mut taken = 0;
        self.hold(|number| taken = mem::take(number));
        taken
    }
}

impl Holds for Mutex<u64> {
    fn hold(&self, work: impl FnOnce(&mut u64)) {
        work(&mut self.lock().unwrap());
    }
}

impl Holds for Value<u64> {
    fn hold(&self, work: impl FnOnce(&mut u64)) {
        work(&mut self.lock());
    }
}

impl Holds for PthreadMutex {
    fn hold(&self, work: impl FnOnce(&mut u64)) {
        self.hold(work);
    }
}

/// A lock that has no number of its own: it stands on another cache line.
struct Apart<'a, L> {
    lock: &'a L,
    number: &'a RawValue<u64>,
}

impl<L> Apart<'_, L> {
    fn change(&self, work: impl FnOnce(&mut u64)) {
        let mut number = self.number.get();
        work(&mut number);
        self.number.set(number);
    }
}

impl Holds for Apart<'_, Lock> {
    fn hold(&self, work: impl FnOnce(&mut u64)) {
        let _held = self.lock.lock();
        self.change(work);
    }
}

impl Holds for Apart<'_, RLock> {
    fn hold(&self, work: impl FnOnce(&mut u64)) {
        let _held = self.lock.lock();
        self.change(work);
    }
}

impl Holds for Apart<'_, Semaphore> {
    fn hold(&self, work: impl FnOnce(&mut u64)) {
        let _permit = self.lock.permit();
        self.change(work);
    }
}

impl Holds for Apart<'_, PthreadMutex> {
    fn hold(&self, work: impl FnOnce(&mut u64)) {
        self.lock.hold(|_| self.change(work));
    }
}

/// The workers at a lock.
#[derive(Clone, Copy)]
struct Crowd {
    workers: usize,
    by: By,
    placement: Placement,
}

impl Crowd {
    /// A row in which each worker does its share of the steps.
    #[track_caller]
    fn row<'a>(self, name: &str, lock: &'a impl Holds) -> Row<'a> {
        let row = Row::new(name, move |times| self.count(lock, times));
        if self.workers == 1 {
            return row;
        }
        row.changes(move |times| self.changes(lock, times))
    }

    fn race(self) -> Race {
        Race {
            by: self.by,
            placement: self.placement,
            warm: 1000,
        }
    }

    /// Has the number counted up to `times`. Returns how long that took and the number.
    fn count(
        self,
        lock: &impl Holds,
        times: u64,
    ) -> anyhow::Result<(Duration, u64)> {
        let step = |number: &mut u64| *number += 1;
        if self.workers == 1 {
            let start = Instant::now();
            (0..times).for_each(|_| lock.hold(step));
            return Ok((start.elapsed(), lock.take()));
        }
        let parts = (0..self.workers).map(|worker| -> Part<'_> {
            Box::new(move |times| {
                let steps = share(times, self.workers, worker);
                (0..steps).for_each(|_| lock.hold(step));
                Ok(0)
            })
        });
        let race = self.race();
        let (took, _) = race.run(times, parts.collect())?;
        Ok((took, lock.take() - race.warm))
    }

    /// How often the lock changes hands meanwhile, and how often it is taken. Each
    /// holder leaves its number under the lock, for the next one to compare.
    fn changes(self, lock: &impl Holds, times: u64) -> anyhow::Result<(u64, u64)> {
        let (last, changes) = (&RawValue::new(0)?, &RawValue::new(0)?);
        let parts = (0..self.workers).map(|worker| -> Part<'_> {
            let me = worker as u64;
            Box::new(move |times| {
                for _ in 0..share(times, self.workers, worker) {
                    lock.hold(|number| {
                        *number += 1;
                        if last.get() != me {
                            last.set(me);
                            changes.set(changes.get() + 1);
                        }
                    });
                }
                Ok(0)
            })
        });
        self.race().run(times, parts.collect())?;
        Ok((changes.get(), lock.take()))
    }
}

fn at(
    workers: usize,
    placement: Placement,
    bench: &mut Bench,
) -> anyhow::Result<()> {
    let (name, work) = match workers {
        1 => (
            "alone".to_owned(),
            "a number increased under its lock, which nothing else wants".to_owned(),
        ),
        _ => (
            format!("{workers} at a time"),
            format!("a number increased under its lock, {workers} at a time"),
        ),
    };
    let std = &Mutex::new(0_u64);
    let (mutex, robust) = (&PthreadMutex::new(false)?, &PthreadMutex::new(true)?);
    let number = &RawValue::new(0_u64)?;
    let (lock, rlock) = (&Lock::new()?, &RLock::new()?);
    let semaphore = &Semaphore::new(1)?;
    let lock = &Apart { lock, number };
    let rlock = &Apart {
        lock: rlock,
        number,
    };
    let semaphore = &Apart {
        lock: semaphore,
        number,
    };
    let mutex_apart = &Apart {
        lock: mutex,
        number,
    };
    let value = &Value::new(0_u64)?;

    let processes = Crowd {
        workers,
        by: By::Processes,
        placement,
    };
    let threads = Crowd {
        by: By::Threads,
        ..processes
    };
    let mut scenario = Scenario::new(QUESTION, name, work, 1)
        .at_least(10_000)
        .budget(Duration::from_secs(1))
        .row(with_python(threads.row("std Mutex", std), "thread_lock", threads).note(
            "it works between threads only, and so does Python's threading.Lock beside it",
        ))
        .row(with_python(processes.row("Lock", lock), "lock", processes));
    if workers > 1 {
        scenario = scenario.row(threads.row("Lock, between threads", lock));
    }
    if workers > cpu_count() {
        let count = move |times| without_spinning(|| processes.count(lock, times));
        scenario = scenario.row(Row::new("Lock, never spinning", count));
    }
    scenario = scenario
        .row(with_python(processes.row("RLock", rlock), "rlock", processes))
        .row(with_python(
            processes.row("Semaphore", semaphore),
            "semaphore",
            processes,
        ))
        .row(with_python(processes.row("Value", value), "value", processes).note(
            "in Python, as its documentation has it, the value takes the lock once more \
             to be read and once more to be written",
        ))
        .row(processes.row("robust pthread mutex", robust))
        .row(
            processes
                .row("pthread mutex, number apart", mutex_apart)
                .note("as with Lock, RLock and Semaphore, the number is on another cache line"),
        )
        .row(processes.row("pthread mutex", mutex).note(
            "if its holder dies it waits for ever; ours and the robust one do not",
        ));
    if workers == 2 {
        scenario = scenario.placed(placement);
    }
    if workers > 1 {
        scenario = scenario.ceiling([workers]);
    }
    if workers <= 2 && matches!(placement, Placement::Free | Placement::Busy) {
        let what = |kind| match workers {
            1 => format!("`{kind}`, alone"),
            _ => format!("`{kind}`, two processes at it"),
        };
        scenario = scenario
            .quote(
                what("Lock"),
                "Lock",
                ["std Mutex", "pthread mutex, number apart"],
            )
            .quote(what("Value"), "Value", ["pthread mutex"])
            .quote(what("Semaphore"), "Semaphore", ["Lock"]);
    }
    let scenario = scenario
        .says(|results| {
            Some(format!(
                "A Lock that works between processes and survives its holder's death \
                 takes {} as long as std's mutex and {} as long as the C library's, \
                 which does not; a Value {} as long as that with a number beside it.",
                results.times("Lock", "std Mutex")?,
                results.times("Lock", "pthread mutex, number apart")?,
                results.times("Value", "pthread mutex")?,
            ))
        })
        .says(|results| {
            let python = results.python("Lock")?;
            Some(format!("Python's Lock takes {python} as long as ours."))
        })
        .says(|results| spinning(results, "Lock"));
    bench.scenario(scenario);
    Ok(())
}

/// The same row in Python, which calls the lock `kind`.
fn with_python<'a>(row: Row<'a>, kind: &str, crowd: Crowd) -> Row<'a> {
    let Crowd {
        workers, placement, ..
    } = crowd;
    let arguments = format!("{kind} {} {workers}", placement.in_python());
    let row = row.python(format!("locks.count {arguments}"));
    if workers == 1 {
        return row;
    }
    row.python_changes(format!("locks.changes {arguments}"))
}
