//! What does a lock cost that other processes know, too?

use std::sync::Mutex;
use std::time::Instant;

use bench::sys::PthreadMutex;
use bench::{Bench, Part, Row, Scenario, race_processes, race_threads, share};
use multiprocessing::{Lock, RLock, RawValue, Semaphore, Value, cpu_count};

use crate::work::{spinning, without_spinning};

const QUESTION: &str = "sync";

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    for workers in [1, 2, 2 * cpu_count().max(2)] {
        at(workers, bench)?;
    }
    Ok(())
}

/// A row in which so many workers do a step, each its share, and which the counter
/// afterwards shows to have been done.
fn row<'a>(
    name: &str,
    workers: usize,
    race: fn(Vec<Part<'_>>) -> anyhow::Result<(std::time::Duration, u64)>,
    step: impl Fn() + Copy + Send + 'a,
    take: impl Fn() -> u64 + 'a,
) -> Row<'a> {
    Row::new(name, move |times| {
        if workers == 1 {
            let start = Instant::now();
            (0..times).for_each(|_| step());
            return Ok((start.elapsed(), take()));
        }
        let parts = (0..workers).map(|worker| -> Part<'_> {
            Box::new(move || {
                (0..share(times, workers, worker)).for_each(|_| step());
                Ok(0)
            })
        });
        let (took, _) = race(parts.collect())?;
        Ok((took, take()))
    })
}

fn at(workers: usize, bench: &mut Bench) -> anyhow::Result<()> {
    let (name, work) = match workers {
        1 => (
            "alone".to_owned(),
            "a number increased under its lock, nobody else wants it".to_owned(),
        ),
        _ => (
            format!("{workers} at a time"),
            format!("a number increased under its lock, {workers} at a time"),
        ),
    };
    let std = &Mutex::new(0_u64);
    let (mutex, robust) = (&PthreadMutex::new(false)?, &PthreadMutex::new(true)?);
    let (lock, rlock) = (&Lock::new()?, &RLock::new()?);
    let semaphore = &Semaphore::new(1)?;
    let value = &Value::new(0_u64)?;
    let number = &RawValue::new(0_u64)?;
    let add = move || number.set(number.get() + 1);
    let take = move || {
        let sum = number.get();
        number.set(0);
        sum
    };
    let python = |call: &str| format!("sync.{call} {workers}");
    let locked = move || {
        let _held = lock.lock();
        add();
    };
    let mut scenario = Scenario::new(QUESTION, name, work, 1)
        .at_least(10_000)
        .row(
            row(
                "std Mutex",
                workers,
                race_threads,
                || *std.lock().unwrap() += 1,
                || std::mem::take(&mut *std.lock().unwrap()),
            )
            .unlimited()
            .python(python("thread_lock"))
            .note("it works between threads only, and so does Python's beside it"),
        )
        .row(
            row("Lock", workers, race_processes, locked, take)
                .python(python("lock")),
        );
    if workers > cpu_count() {
        let race = |parts: Vec<Part<'_>>| without_spinning(|| race_processes(parts));
        let name = "Lock, never spinning";
        scenario = scenario.row(row(name, workers, race, locked, take));
    }
    let scenario = scenario
        .row(
            row("RLock", workers, race_processes, move || {
                let _held = rlock.lock();
                add();
            }, take)
            .python(python("rlock")),
        )
        .row(
            row("Semaphore", workers, race_processes, move || {
                let _permit = semaphore.permit();
                add();
            }, take)
            .python(python("semaphore")),
        )
        .row(
            row(
                "Value",
                workers,
                race_processes,
                move || *value.lock() += 1,
                move || std::mem::take(&mut *value.lock()),
            )
            .python(python("value")),
        )
        .row(row(
            "robust pthread mutex",
            workers,
            race_processes,
            || robust.increment(),
            || robust.take(),
        ))
        .row(
            row(
                "pthread mutex, number apart",
                workers,
                race_processes,
                move || mutex.hold(add),
                take,
            )
            .note("as that of Lock, RLock and Semaphore: on a cache line of its own"),
        )
        .row(
            row(
                "pthread mutex",
                workers,
                race_processes,
                || mutex.increment(),
                || mutex.take(),
            )
            .limit()
            .note("it waits for ever when its holder dies, ours and the robust one do not"),
        )
        .says(|results| {
            let lock = results.median("Lock");
            let std = results.times(lock, results.median("std Mutex"));
            let c = results.times(lock, results.median("pthread mutex, number apart"));
            let value = results.median("Value");
            let value = results.times(value, results.median("pthread mutex"));
            format!(
                "A Lock that works between processes and survives its holder's death \
                 takes {std} as long as std's mutex and {c} as long as the C library's, \
                 which does not; a Value {value} as long as that with a number beside it."
            )
        })
        .says(|results| {
            let lock = results.median("Lock");
            let python = results.times(results.python("Lock"), lock);
            format!("Python's Lock takes {python} as long as ours.")
        })
        .says(|results| spinning(results, "Lock"));
    bench.scenario(scenario);
    Ok(())
}
