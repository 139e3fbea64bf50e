//! What do threads give without a GIL, and what do processes cost?
//!
//! Three kinds of work: the tutorial's sums of squares, which need nothing but a core;
//! a sum over more memory than the caches hold; and a counter under one lock.

use std::hint::black_box;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use bench::{
    Bench, Of, Results, Row, Scenario, cal, cal_known, processes, share,
    worker_counts,
};
use multiprocessing::{Pool, RawArray, RawValue, Slot, Value, cpu_count};
use rayon::prelude::*;

const QUESTION: &str = "threads_vs_processes";

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    linear(bench);
    squares(bench);
    memory(bench)?;
    lock(bench)
}

/// Has `workers` new threads do a part of the work each.
fn threads(workers: usize, part: impl Fn(usize) -> u64 + Sync) -> u64 {
    thread::scope(|s| {
        let part = &part;
        let threads: Vec<_> = (0..workers)
            .map(|worker| s.spawn(move || part(worker)))
            .collect();
        (threads.into_iter()).fold(0_u64, |sum, thread| {
            sum.wrapping_add(thread.join().unwrap())
        })
    })
}

/// A row whose rayon pool is started and warmed up before the clock starts, and ended
/// afterwards: while it exists, no process can be forked.
#[track_caller]
fn rayon_row<'a>(workers: usize, work: impl Fn() -> u64 + Sync + 'a) -> Row<'a> {
    let row = Row::new("rayon", move |times| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .build()?;
        Ok(pool.install(|| {
            pool.broadcast(|_| ());
            let start = Instant::now();
            let sum = (0..times).fold(0_u64, |sum, _| sum.wrapping_add(work()));
            (start.elapsed(), sum)
        }))
    });
    row.workers(workers).note(
        "its threads run already, while those of the others start within the time",
    )
}

/// Starts a pool, has its workers do a part of the work each, and ends it.
fn pool_map(
    workers: usize,
    part: impl Fn((usize, usize)) -> u64 + Copy + Send + 'static,
) -> anyhow::Result<u64> {
    let pool = Pool::new(workers)?;
    let parts = (0..workers).map(|worker| (worker, workers));
    let sums = pool.chunksize(1).map(part, parts)?;
    pool.close();
    pool.join()?;
    Ok(sums.into_iter().fold(0, u64::wrapping_add))
}

#[track_caller]
fn pool_row<'a>(
    workers: usize,
    part: impl Fn((usize, usize)) -> u64 + Copy + Send + 'static,
) -> Row<'a> {
    Row::timed("Pool", move || pool_map(workers, part)).workers(workers)
}

/// Proves that the loop runs: eight times the steps take eight times as long.
fn linear(bench: &mut Bench) {
    const STEPS: u64 = 100_000;
    let mut scenario = Scenario::new(
        QUESTION,
        "linear",
        "the tutorial's loop over n, 2 n, 4 n, 8 n steps, n = 100 000",
        cal_known(STEPS),
    )
    .budget(Duration::from_secs(1));
    for factor in [1, 2, 4, 8] {
        let row = Row::timed(format!("{factor} n"), move || {
            Ok(cal(black_box(factor * STEPS)))
        });
        scenario = scenario.row(row.answer(cal_known(factor * STEPS)));
    }
    bench.scenario(scenario.says(|results| {
        let grown = results.times("8 n", "1 n")?;
        let means = if grown.of_medians() > 4.0 {
            "the loop runs, the compiler has not solved it"
        } else {
            "the loop does NOT run, so no number below can be trusted"
        };
        Some(format!(
            "Eight times the steps take {grown} as long: {means}."
        ))
    }));
}

fn squares(bench: &mut Bench) {
    /// The tutorial's `calCount`.
    const COUNT: u64 = 20_000;
    let known = (0..COUNT).fold(0_u64, |sum, n| sum.wrapping_add(cal_known(n)));
    let cores = cpu_count();
    // Python takes seconds for each, so it does the work once, and by as many workers as
    // there are cores.
    let python = |row: Row<'static>, workers: usize, call: &str| {
        if workers == 1 && call != "one" || workers > 1 && workers != cores {
            return row.workers(workers);
        }
        row.workers(workers)
            .python(format!("squares.{call} {workers} {COUNT}"))
            .python_rounds(1)
    };
    let part = |workers: usize| {
        move |worker: usize| {
            (worker as u64..COUNT)
                .step_by(workers)
                .fold(0_u64, |sum, n| sum.wrapping_add(cal(n)))
        }
    };
    let total = |sums: Vec<u64>| sums.into_iter().fold(0, u64::wrapping_add);

    let one = Row::timed("one thread", move || Ok(part(1)(0)))
        .python(format!("squares.one {COUNT}"))
        .python_rounds(1);
    let mut scenario = Scenario::new(
        QUESTION,
        "squares",
        "the sums of squares below n for each n < 20 000 (listing D53)",
        known,
    )
    .rounds(9)
    .row(one);
    for workers in worker_counts() {
        let scope =
            Row::timed("thread::scope", move || Ok(threads(workers, part(workers))));
        let process =
            Row::timed("Process", move || processes(workers, part(workers)));
        let pool = Row::timed("Pool", move || {
            let pool = Pool::new(workers)?;
            let sums = pool.map(cal, 0..COUNT)?;
            pool.close();
            pool.join()?;
            Ok(total(sums))
        });
        let standing = Row::new("Pool that stands", move |times| {
            let pool = Pool::new(workers)?;
            pool.map(cal, 0..100)?;
            let start = Instant::now();
            let mut sum = 0_u64;
            for _ in 0..times {
                sum = sum.wrapping_add(total(pool.map(cal, 0..COUNT)?));
            }
            Ok((start.elapsed(), sum))
        });
        let standing = standing.note("its workers run already, as rayon's do");
        scenario = scenario
            .row(python(scope, workers, "threads"))
            .row(rayon_row(workers, || {
                (0..COUNT)
                    .into_par_iter()
                    .map(cal)
                    .reduce(|| 0, u64::wrapping_add)
            }))
            .row(python(process, workers, "processes"))
            .row(python(pool, workers, "pool"))
            .row(standing.workers(workers));
    }
    let executor = Row::only_python("ProcessPoolExecutor, in chunks");
    scenario = scenario
        .row(python(executor, cores.max(2), "executor"))
        .row(
            Row::only_python("numpy")
                .python(format!("with_numpy.squares {COUNT}"))
                .python_rounds(5)
                .note("one thread: a dot product of each slice with itself"),
        )
        .ceiling(worker_counts());
    let workers = |name: &str| format!("{name}/{cores}");
    for (what, name) in [
        (format!("{cores} threads"), "thread::scope"),
        (format!("{cores} processes"), "Process"),
        (format!("a pool of {cores}, started and ended"), "Pool"),
    ] {
        scenario = scenario.quote(
            format!("sums of squares, {what}"),
            workers(name),
            ["one thread"],
        );
    }
    bench.scenario(
        scenario
            .quote("sums of squares, one thread", "one thread", [])
            .says(speed_up)
            .says(speed_up_in_python)
            .says(|results| {
                let (numpy, one) = (Of::Python("numpy"), Of::Rust("one thread"));
                let times = results.ratio(numpy, one)?;
                Some(format!(
                    "numpy takes {times} as long as one thread of Rust."
                ))
            }),
    );
}

/// How long one thread takes beside all cores, by threads and by processes.
fn speed_up(results: &Results) -> Option<String> {
    let cores = cpu_count();
    let label = |name: &str| format!("{name}/{cores}");
    let by = |name| results.times("one thread", &label(name));
    let (threads, processes) = (label("thread::scope"), label("Process"));
    Some(format!(
        "One thread takes {} as long as {cores} threads, {} as long as {cores} \
         processes, {} as long as a Pool, and {} as long as a Pool that stands. The \
         processes take {} as long as the threads.",
        by("thread::scope")?,
        by("Process")?,
        by("Pool")?,
        by("Pool that stands")?,
        results.times(&processes, &threads)?,
    ))
}

/// The same in Python.
fn speed_up_in_python(results: &Results) -> Option<String> {
    let cores = cpu_count();
    let by = |name: &str| {
        let label = format!("{name}/{cores}");
        results.ratio(Of::Python("one thread"), Of::Python(&label))
    };
    Some(format!(
        "In Python one thread takes {} as long as {cores} threads, {} as long as \
         processes and {} as long as a Pool.",
        by("thread::scope")?,
        by("Process")?,
        by("Pool")?
    ))
}

/// Numbers of eight bytes: 128 MiB, more than the caches hold.
const MEMORY: u64 = 16 << 20;

/// The same in Python, over all of the numbers.
fn memory_in_python<'a>(row: Row<'a>, call: &str) -> Row<'a> {
    row.python(format!("memory.{call} {MEMORY}"))
        .python_rounds(3)
}

/// Where a pool's workers, forks of this process, find the numbers.
static NUMBERS: Mutex<Option<RawArray<u64>>> = Mutex::new(None);

fn sum(numbers: &[Slot<u64>]) -> u64 {
    (numbers.iter()).fold(0_u64, |sum, number| sum.wrapping_add(number.get()))
}

/// The sum of a worker's part.
fn sum_of_part(numbers: &[Slot<u64>], worker: usize, workers: usize) -> u64 {
    let bound = |worker| numbers.len() * worker / workers;
    sum(black_box(&numbers[bound(worker)..bound(worker + 1)]))
}

fn sum_of_known_part((worker, workers): (usize, usize)) -> u64 {
    let numbers = NUMBERS.lock().unwrap().clone();
    numbers.map_or(0, |numbers| sum_of_part(&numbers, worker, workers))
}

fn memory(bench: &mut Bench) -> anyhow::Result<()> {
    // Shared, since a fork would have to copy the page tables of memory that is the
    // parent's own, which takes longer than the sum.
    let numbers = &RawArray::new(0..MEMORY)?;
    *NUMBERS.lock().unwrap() = Some(numbers.clone());
    let part =
        |workers: usize| move |worker: usize| sum_of_part(numbers, worker, workers);
    let mut scenario = Scenario::new(
        QUESTION,
        "memory",
        "the sum of 128 MiB of numbers",
        MEMORY * (MEMORY - 1) / 2,
    );
    let one = Row::timed("one thread", move || Ok(part(1)(0)));
    scenario = scenario.row(memory_in_python(one, "one"));
    for workers in worker_counts() {
        let scope =
            Row::timed("thread::scope", move || Ok(threads(workers, part(workers))));
        let scope = memory_in_python(scope, &format!("threads {workers}"));
        let process =
            Row::timed("Process", move || processes(workers, part(workers)));
        let process = memory_in_python(process, &format!("processes {workers}"));
        scenario = scenario
            .row(scope.workers(workers))
            .row(rayon_row(workers, move || {
                black_box(numbers)
                    .par_chunks(1 << 16)
                    .map(sum)
                    .reduce(|| 0, u64::wrapping_add)
            }))
            .row(process.workers(workers).note(
                "the numbers are in shared memory, which each process has to map first",
            ))
            .row(memory_in_python(
                pool_row(workers, sum_of_known_part),
                &format!("pool {workers}"),
            ));
    }
    let cores = cpu_count();
    let (threads, processes) = (
        &format!("thread::scope/{cores}"),
        &format!("Process/{cores}"),
    );
    let scenario = scenario
        .row(
            Row::only_python("numpy")
                .python(format!("with_numpy.memory {MEMORY}"))
                .note("one thread"),
        )
        .ceiling(worker_counts())
        .quote(
            format!("sum of 128 MiB, {cores} threads"),
            threads.as_str(),
            ["one thread"],
        )
        .quote(
            format!("sum of 128 MiB, {cores} processes"),
            processes.as_str(),
            ["one thread"],
        )
        .says(|results| {
            Some(format!(
                "The cores share one memory: one thread takes {} as long as {cores} \
                 threads, and {} as long as {cores} processes.",
                results.times("one thread", threads)?,
                results.times("one thread", processes)?,
            ))
        })
        .says(|results| {
            let (numpy, one) = (Of::Python("numpy"), Of::Rust("one thread"));
            let times = results.ratio(numpy, one)?;
            Some(format!(
                "numpy takes {times} as long as one thread of Rust."
            ))
        });
    bench.scenario(scenario);
    *NUMBERS.lock().unwrap() = None;
    Ok(())
}

/// To what the counter under one lock is counted.
const COUNT: u64 = 200_000;

/// The counter of a pool's workers, forks of this process.
static COUNTER: Mutex<Option<Value<u64>>> = Mutex::new(None);

fn count_part(value: &Value<u64>, worker: usize, workers: usize) -> u64 {
    let part = share(COUNT, workers, worker);
    (0..part).for_each(|_| *value.lock() += 1);
    part
}

fn count_known_part((worker, workers): (usize, usize)) -> u64 {
    let value = COUNTER.lock().unwrap().clone();
    value.map_or(0, |value| count_part(&value, worker, workers))
}

/// How often a lock changes hands while it is taken [`COUNT`] times, and how often it
/// is taken. `hold` runs something under it, and each holder leaves its number there.
fn changes_of_hands(
    workers: usize,
    hold: impl Fn(&mut dyn FnMut()) + Sync,
    run: impl Fn(&(dyn Fn(usize) -> u64 + Sync)) -> anyhow::Result<u64>,
) -> anyhow::Result<(u64, u64)> {
    let (last, changes) = (&RawValue::new(0)?, &RawValue::new(0)?);
    let part = |worker: usize| {
        let (me, steps) = (worker as u64, share(COUNT, workers, worker));
        for _ in 0..steps {
            hold(&mut || {
                if last.get() != me {
                    last.set(me);
                    changes.set(changes.get() + 1);
                }
            });
        }
        steps
    };
    let taken = run(&part)?;
    Ok((changes.get(), taken))
}

fn lock(bench: &mut Bench) -> anyhow::Result<()> {
    let value = &Value::new(0_u64)?;
    *COUNTER.lock().unwrap() = Some(value.clone());
    let take = move || std::mem::take(&mut *value.lock());
    let count_by_processes = move |workers| {
        processes(workers, |worker| count_part(value, worker, workers))?;
        anyhow::Ok(take())
    };
    let count_by_pool = move |workers| {
        pool_map(workers, count_known_part)?;
        anyhow::Ok(take())
    };
    let count_by_threads = move |workers| {
        threads(workers, |worker| count_part(value, worker, workers));
        anyhow::Ok(take())
    };
    let count = |workers| {
        let counter = Mutex::new(0_u64);
        threads(workers, |worker| {
            for _ in 0..share(COUNT, workers, worker) {
                *counter.lock().unwrap() += 1;
            }
            0
        });
        counter.into_inner().unwrap()
    };
    let hold_value = move |work: &mut dyn FnMut()| {
        let _held = value.lock();
        work();
    };
    let one = Row::timed("one thread", move || {
        let counter = Mutex::new(0);
        for _ in 0..COUNT {
            *counter.lock().unwrap() += 1;
        }
        Ok(counter.into_inner().unwrap())
    });
    let mut scenario = Scenario::new(
        QUESTION,
        "lock",
        "one counter counted to 200 000 under one lock",
        COUNT,
    )
    .budget(Duration::from_secs(3))
    .row(in_python(one, "one", "thread_lock", 1))
    .row(in_python(
        Row::timed("one thread, a Value", move || count_by_threads(1)),
        "one",
        "value",
        1,
    ));
    for workers in worker_counts() {
        let scope = Row::timed("thread::scope", move || Ok(count(workers))).changes(
            move |_| {
                let lock = Mutex::new(());
                let hold = |work: &mut dyn FnMut()| {
                    let _held = lock.lock();
                    work();
                };
                changes_of_hands(workers, hold, |part| Ok(threads(workers, part)))
            },
        );
        let at_value =
            Row::timed("thread::scope, a Value", move || count_by_threads(workers))
                .changes(move |_| {
                    changes_of_hands(workers, hold_value, |part| {
                        Ok(threads(workers, part))
                    })
                });
        let process = Row::timed("Process", move || count_by_processes(workers))
            .changes(move |_| {
                changes_of_hands(workers, hold_value, |part| {
                    processes(workers, part)
                })
            });
        let pool = Row::timed("Pool", move || count_by_pool(workers));
        let pool = pool.workers(workers);
        let pool = pool.python(format!("lock.pool {workers} {COUNT}"));
        scenario = scenario
            .row(in_python(scope, "threads", "thread_lock", workers))
            .row(in_python(at_value, "threads", "value", workers))
            .row(rayon_row(workers, || {
                let counter = Mutex::new(0);
                (0..COUNT)
                    .into_par_iter()
                    .for_each(|_| *counter.lock().unwrap() += 1);
                counter.into_inner().unwrap()
            }))
            .row(in_python(process, "processes", "value", workers))
            .row(pool.python_rounds(PYTHON_ROUNDS));
    }
    let cores = cpu_count();
    let label = |name: &str| format!("{name}/{cores}");
    let scenario = scenario
        .ceiling(worker_counts())
        .quote(
            format!("one lock, {cores} threads at it"),
            label("thread::scope"),
            ["one thread"],
        )
        .says(move |results| {
            Some(format!(
                "Every step needs the same lock, so there is nothing to share out: \
                 {cores} threads take {} as long as one; at the lock that processes \
                 share {cores} threads take {} and {cores} processes {} as long as one \
                 thread at it.",
                results.times(&label("thread::scope"), "one thread")?,
                results.times(
                    &label("thread::scope, a Value"),
                    "one thread, a Value"
                )?,
                results.times(&label("Process"), "one thread, a Value")?,
            ))
        });
    bench.scenario(scenario);
    *COUNTER.lock().unwrap() = None;
    Ok(())
}

/// Python takes part of a second for 200 000 steps under a lock.
const PYTHON_ROUNDS: usize = 5;

/// The same in Python, by threads or processes, at a lock of this kind.
fn in_python<'a>(row: Row<'a>, by: &str, lock: &str, workers: usize) -> Row<'a> {
    if by == "one" {
        return row
            .python(format!("lock.one {lock} {COUNT}"))
            .python_rounds(PYTHON_ROUNDS);
    }
    row.workers(workers)
        .python(format!("lock.{by} {lock} {workers} {COUNT}"))
        .python_rounds(PYTHON_ROUNDS)
        .python_changes(format!("lock.{by}_changes {lock} {workers} {COUNT}"))
}
