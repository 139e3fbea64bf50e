//! What do threads give without a GIL, and what do processes cost?
//!
//! Three kinds of work: the tutorial's sums of squares, which need nothing but a core;
//! a sum over more memory than the caches hold; and a counter under one lock.

use std::hint::black_box;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use bench::{
    Bench, Part, Results, Row, Scenario, processes, race_threads, share,
    worker_counts,
};
use multiprocessing::{Pool, RawArray, Slot, Value, cpu_count};
use rayon::prelude::*;

use crate::work::{cal, cal_known};

const QUESTION: &str = "threads_vs_processes";

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    linear(bench);
    squares(bench);
    memory(bench)?;
    lock(bench)
}

/// So many steps of [`cal`] that the start of a thread does not count.
const BUSY: u64 = 20_000_000;

/// Independent busy loops, one a thread: two cores of a shared or hyper-threaded
/// machine are rarely two.
fn with_ceiling(mut scenario: Scenario<'_>) -> Scenario<'_> {
    for workers in worker_counts() {
        let row = Row::new("busy loops", move |times| {
            let busy = || -> Part<'_> {
                Box::new(move || {
                    Ok((0..times).fold(0, |sum, _| sum.wrapping_add(cal(BUSY))))
                })
            };
            race_threads((0..workers).map(|_| busy()).collect())
        });
        let answer = cal_known(BUSY).wrapping_mul(workers as u64);
        scenario = scenario.row(row.workers(workers).ceiling(answer));
    }
    scenario
}

/// Has so many new threads do a part of the work each.
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

/// A row whose rayon pool is started before the clock is, and ended after it: while it
/// is there, no process can be forked.
fn rayon_row<'a>(workers: usize, work: impl Fn() -> u64 + Sync + 'a) -> Row<'a> {
    let row = Row::new("rayon", move |times| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .build()?;
        Ok(pool.install(|| {
            let start = Instant::now();
            let sum = (0..times).fold(0_u64, |sum, _| sum.wrapping_add(work()));
            (start.elapsed(), sum)
        }))
    });
    row.workers(workers).note(
        "its threads are there already, the others' are started within the time",
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
        let (one, eight) = (results.median("1 n"), results.median("8 n"));
        let grown = results.times(eight, one);
        let linear = one.zip(eight).is_some_and(|(one, eight)| eight > 4.0 * one);
        let means = if linear {
            "the loop runs, the compiler has not solved it"
        } else {
            "the loop does NOT run, trust no number below"
        };
        format!("Eight times the steps take {grown} as long: {means}.")
    }));
}

fn squares(bench: &mut Bench) {
    /// The tutorial's `calCount`.
    const COUNT: u64 = 20_000;
    const PYTHON_COUNT: u64 = 2_000;
    let known =
        |count| (0..count).fold(0_u64, |sum, n| sum.wrapping_add(cal_known(n)));
    let steps = |count: u64| (count * (count - 1) / 2) as f64;
    let python = |row: Row<'static>, call: &str| {
        row.python_part(
            format!("squares.{call} {PYTHON_COUNT}"),
            known(PYTHON_COUNT),
            steps(COUNT) / steps(PYTHON_COUNT),
        )
    };
    let part = |workers: usize| {
        move |worker: usize| {
            (worker as u64..COUNT)
                .step_by(workers)
                .fold(0_u64, |sum, n| sum.wrapping_add(cal(n)))
        }
    };

    let mut scenario = Scenario::new(
        QUESTION,
        "squares",
        "the sums of squares below n for each n < 20 000 (listing D53)",
        known(COUNT),
    );
    let one = Row::timed("one thread", move || Ok(part(1)(0)));
    scenario = scenario.row(python(one, "one"));
    for workers in worker_counts() {
        let scope =
            Row::timed("thread::scope", move || Ok(threads(workers, part(workers))));
        let scope = python(scope, &format!("threads {workers}"));
        let process =
            Row::timed("Process", move || processes(workers, part(workers)));
        let process = python(process, &format!("processes {workers}"));
        let pool = Row::timed("Pool", move || {
            let pool = Pool::new(workers)?;
            let sums = pool.map(cal, 0..COUNT)?;
            pool.close();
            pool.join()?;
            Ok(sums.into_iter().fold(0, u64::wrapping_add))
        });
        let pool = python(pool, &format!("pool {workers}"));
        let standing = Row::new("Pool that stands", move |times| {
            let pool = Pool::new(workers)?;
            let start = Instant::now();
            let mut sum = 0_u64;
            for _ in 0..times {
                sum = pool
                    .map(cal, 0..COUNT)?
                    .into_iter()
                    .fold(sum, u64::wrapping_add);
            }
            Ok((start.elapsed(), sum))
        });
        scenario = scenario
            .row(scope.workers(workers))
            .row(rayon_row(workers, || {
                (0..COUNT)
                    .into_par_iter()
                    .map(cal)
                    .reduce(|| 0, u64::wrapping_add)
            }))
            .row(process.workers(workers))
            .row(pool.workers(workers))
            .row(
                standing
                    .workers(workers)
                    .note("its workers are there already, as rayon's are"),
            );
    }
    let executor = Row::only_python("ProcessPoolExecutor").workers(cpu_count());
    let executor = python(executor, &format!("executor {}", cpu_count()));
    bench.scenario(
        with_ceiling(scenario.row(executor))
            .says(speed_up)
            .says(speed_up_in_python),
    );
}

/// What the cores bring, by threads and by processes.
fn speed_up(results: &Results) -> String {
    let cores = cpu_count();
    let one = results.median("one thread");
    let by =
        |name: &str| results.times(one, results.median(&format!("{name}/{cores}")));
    format!(
        "On {cores} cores threads are {} as fast as one, processes {}, a Pool {} and one \
         that stands already {}: without a GIL a process buys no speed that a thread \
         does not.",
        by("thread::scope"),
        by("Process"),
        by("Pool"),
        by("Pool that stands")
    )
}

/// The same in Python.
fn speed_up_in_python(results: &Results) -> String {
    let cores = cpu_count();
    let one = results.python("one thread");
    let by =
        |name: &str| results.times(one, results.python(&format!("{name}/{cores}")));
    format!(
        "In Python threads are {} as fast as one, processes {} and a Pool {}.",
        by("thread::scope"),
        by("Process"),
        by("Pool")
    )
}

/// Numbers of eight bytes: 128 MiB, more than the caches hold.
const MEMORY: u64 = 16 << 20;

/// The same in Python, with a thirty-second of the numbers.
fn memory_in_python<'a>(row: Row<'a>, call: &str) -> Row<'a> {
    let count = MEMORY / 32;
    let answer = count * (count - 1) / 2;
    row.python_part(format!("memory.{call} {count}"), answer, 32.0)
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
    // Shared, and not the parent's own: a fork would have to copy the page tables of
    // that, which takes longer than the sum.
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
                "the numbers are in shared memory, which each process first has to map",
            ))
            .row(memory_in_python(
                pool_row(workers, sum_of_known_part),
                &format!("pool {workers}"),
            ));
    }
    bench.scenario(with_ceiling(scenario).says(|results| {
        let cores = cpu_count();
        let one = results.median("one thread");
        let faster =
            results.times(one, results.median(&format!("thread::scope/{cores}")));
        format!(
            "{cores} cores share one memory: together {faster} as fast as one of them."
        )
    }));
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
    let mut scenario = Scenario::new(
        QUESTION,
        "lock",
        "one counter counted to 200 000 under one lock",
        COUNT,
    );
    let one = Row::timed("one thread", move || {
        let counter = Mutex::new(0);
        for _ in 0..COUNT {
            *counter.lock().unwrap() += 1;
        }
        Ok(counter.into_inner().unwrap())
    });
    scenario = scenario.row(one.python(format!("lock.one {COUNT}")));
    for workers in worker_counts() {
        let scope = Row::timed("thread::scope", move || Ok(count(workers)));
        scenario = scenario
            .row(
                scope
                    .workers(workers)
                    .python(format!("lock.threads {workers} {COUNT}")),
            )
            .row(rayon_row(workers, || {
                let counter = Mutex::new(0);
                (0..COUNT)
                    .into_par_iter()
                    .for_each(|_| *counter.lock().unwrap() += 1);
                counter.into_inner().unwrap()
            }))
            .row(
                Row::timed("Process", move || count_by_processes(workers))
                    .workers(workers)
                    .python(format!("lock.processes {workers} {COUNT}")),
            )
            .row(
                Row::timed("Pool", move || count_by_pool(workers))
                    .workers(workers)
                    .python(format!("lock.pool {workers} {COUNT}")),
            );
    }
    bench.scenario(with_ceiling(scenario).says(|results| {
        let cores = cpu_count();
        let one = results.median("one thread");
        let by = |name: &str| {
            results.times(results.median(&format!("{name}/{cores}")), one)
        };
        format!(
            "Every step needs the same lock, so there is nothing to share out: {cores} \
             threads take {} as long as one, {cores} processes {}.",
            by("thread::scope"),
            by("Process")
        )
    }));
    *COUNTER.lock().unwrap() = None;
    Ok(())
}
