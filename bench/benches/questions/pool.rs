//! When does a pool pay, and by which of its methods?

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench::sys::{PingPong, Wait};
use bench::{Bench, Part, Results, Row, Scenario, on_core, race_processes};
use crossbeam::channel;
use multiprocessing::{Pool, cpu_count};
use rayon::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use threading::ThreadPool;

use crate::work::{
    cal, cal_known, spinning, steps_per_microsecond, without_spinning,
};

const QUESTION: &str = "pool";

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let steps = steps_per_microsecond();
    let few = 2 * cpu_count();
    for (name, microseconds, count) in [
        ("no-op", 0.001, 1000),
        ("1 µs", 1.0, 1000),
        ("100 µs", 100.0, 100),
        ("10 ms", 10_000.0, few),
    ] {
        // A no-op is a task without a step.
        let steps = (microseconds * steps) as u64 & !1;
        tasks(name, microseconds, steps, count, bench)?;
    }
    for (name, size, count) in [
        ("8 B", 8, 1000),
        ("4 KiB", 4096, 200),
        ("1 MiB", 1 << 20, few),
    ] {
        arguments(name, size, count, bench)?;
    }
    many(bench)?;
    very_many(bench)?;
    round_trip(bench)?;
    slowest(bench)?;
    crowd(bench)
}

/// So many steps; one more, so that a no-op has something to tell.
fn task(steps: u64) -> u64 {
    cal(steps).wrapping_add(1)
}

fn no_task() -> u64 {
    task(0)
}

/// Runs and times something that a pool of threads or processes, which is started
/// before and ended afterwards, does so many times.
fn clocked(
    times: u64,
    mut batch: impl FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<(Duration, u64)> {
    let start = Instant::now();
    let mut sum = 0_u64;
    for _ in 0..times {
        sum = sum.wrapping_add(batch()?);
    }
    Ok((start.elapsed(), sum))
}

fn total(results: impl IntoIterator<Item = u64>) -> u64 {
    results.into_iter().fold(0, u64::wrapping_add)
}

/// A row of a pool of threads that must be gone before anybody forks.
fn rayon_row<'a>(batch: impl Fn() -> u64 + Sync + 'a) -> Row<'a> {
    Row::new("rayon", move |times| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(cpu_count());
        threads.build()?.install(|| clocked(times, || Ok(batch())))
    })
}

/// A row of our pool of threads.
fn thread_pool_row<'a, A: Send + 'static>(
    function: fn(A) -> u64,
    inputs: impl Fn() -> Vec<A> + 'a,
) -> Row<'a> {
    Row::new("ThreadPool", move |times| {
        let pool = ThreadPool::new(cpu_count())?;
        clocked(times, || {
            let mut results = pool.map(inputs(), function);
            Ok(results.try_fold(0_u64, |sum, result| {
                result.map(|result| sum.wrapping_add(result))
            })?)
        })
    })
}

/// As many tasks of procspawn's at a time: each holds descriptors, and it panics when
/// there are no more.
const PROCSPAWN_AT_A_TIME: usize = 50;

fn procspawn_row<'a, A: Serialize + DeserializeOwned + 'a>(
    function: fn(A) -> u64,
    inputs: impl Fn() -> Vec<A> + 'a,
) -> Row<'a> {
    let row = Row::new("procspawn", move |times| {
        let pool = procspawn::Pool::new(cpu_count())?;
        let taken = clocked(times, || {
            let mut inputs = inputs().into_iter();
            let mut sum = 0_u64;
            loop {
                let some = inputs.by_ref().take(PROCSPAWN_AT_A_TIME);
                let tasks: Vec<_> =
                    some.map(|input| pool.spawn(input, function)).collect();
                if tasks.is_empty() {
                    return Ok(sum);
                }
                for task in tasks {
                    sum = sum.wrapping_add(task.join()?);
                }
            }
        });
        pool.shutdown();
        taken
    });
    row.note(format!(
        "at most {PROCSPAWN_AT_A_TIME} tasks at a time, as each holds descriptors"
    ))
}

fn crossmist_row<'a>() -> Row<'a> {
    let why = "1.1.2, the newest, panics at its first message under Rust 1.95";
    Row::absent("crossmist", why)
}

/// The same batch of tasks in Python.
struct InPython {
    /// What the functions' names begin with.
    kind: &'static str,
    /// Their arguments besides the number of workers and the chunk size.
    batch: String,
    answer: u64,
}

impl InPython {
    fn beside<'a>(&self, row: Row<'a>, method: &str, chunksize: usize) -> Row<'a> {
        let Self {
            kind,
            batch,
            answer,
        } = self;
        let workers = cpu_count();
        let call = format!("pool.{kind}_{method} {workers} {chunksize} {batch}");
        row.python_answer(call, *answer)
    }
}

/// The methods of a pool, each with a batch of tasks.
fn with_methods<'a, A: Clone + Serialize + DeserializeOwned + 'a>(
    mut scenario: Scenario<'a>,
    pool: &'a Pool,
    function: impl Fn(A) -> u64 + Copy + Send + 'static,
    inputs: impl Fn() -> Vec<A> + Copy + 'a,
    python: &InPython,
) -> Scenario<'a> {
    let map = Row::timed("map", move || Ok(total(pool.map(function, inputs())?)));
    scenario = scenario.row(python.beside(map, "map", 0));
    for chunksize in [1, 100] {
        let map = Row::timed(format!("map by {chunksize}"), move || {
            Ok(total(pool.chunksize(chunksize).map(function, inputs())?))
        });
        scenario = scenario.row(python.beside(map, "map_chunks", chunksize));
    }
    let apply = Row::timed("apply", move || by_apply(pool, function, inputs()));
    let apply_async = apply_async_row(pool, function, inputs);
    let imap = Row::timed("imap", move || {
        pool.imap(function, inputs())
            .try_fold(0_u64, |sum, result| Ok(sum.wrapping_add(result?)))
    });
    let imap_unordered = imap_unordered_row(pool, function, inputs);
    scenario
        .row(python.beside(apply, "apply", 0))
        .row(python.beside(apply_async, "apply_async", 0))
        .row(python.beside(imap, "imap", 0))
        .row(python.beside(imap_unordered, "imap_unordered", 0))
}

fn apply_async_row<'a, A: Serialize + DeserializeOwned + 'a>(
    pool: &'a Pool,
    function: impl Fn(A) -> u64 + Copy + Send + 'static,
    inputs: impl Fn() -> Vec<A> + 'a,
) -> Row<'a> {
    Row::timed("apply_async", move || {
        by_apply_async(pool, function, inputs())
    })
}

fn by_apply_async<A: Serialize + DeserializeOwned>(
    pool: &Pool,
    function: impl Fn(A) -> u64 + Copy + Send + 'static,
    inputs: Vec<A>,
) -> anyhow::Result<u64> {
    let tasks: Vec<_> = (inputs.into_iter())
        .map(|input| pool.apply_async(function, (input,)))
        .collect();
    (tasks.into_iter())
        .try_fold(0_u64, |sum, task| Ok(sum.wrapping_add(task.get()?)))
}

fn by_apply<A: Serialize + DeserializeOwned>(
    pool: &Pool,
    function: impl Fn(A) -> u64 + Copy + Send + 'static,
    inputs: Vec<A>,
) -> anyhow::Result<u64> {
    (inputs.into_iter()).try_fold(0_u64, |sum, input| {
        Ok(sum.wrapping_add(pool.apply(function, (input,))?))
    })
}

fn imap_unordered_row<'a, A: Serialize + DeserializeOwned + 'a>(
    pool: &'a Pool,
    function: impl Fn(A) -> u64 + Copy + Send + 'static,
    inputs: impl Fn() -> Vec<A> + 'a,
) -> Row<'a> {
    Row::timed("imap_unordered", move || {
        pool.imap_unordered(function, inputs())
            .try_fold(0_u64, |sum, result| Ok(sum.wrapping_add(result?)))
    })
}

fn tasks(
    name: &str,
    microseconds: f64,
    steps: u64,
    count: usize,
    bench: &mut Bench,
) -> anyhow::Result<()> {
    let workers = cpu_count();
    let pool = &Pool::new(workers)?;
    let inputs = move || vec![steps; count];
    let python = &InPython {
        kind: "tasks",
        // As long, not as many steps: its steps are slower. It returns how many tasks
        // were right.
        batch: format!("{} {count}", (microseconds * 1e3) as u64),
        answer: count as u64,
    };
    let known = cal_known(steps).wrapping_add(1).wrapping_mul(count as u64);
    let one = Row::timed("one thread", move || {
        Ok(total(inputs().into_iter().map(task)))
    });
    let scenario = Scenario::new(
        QUESTION,
        format!("{name} tasks"),
        format!(
            "{count} tasks of {name}, by {workers} workers that wait for them; map by \
             so many at a time is its chunksize"
        ),
        known,
    )
    .at("length of a task in µs", microseconds)
    .row(
        python
            .beside(one, "one", 0)
            .note("a task of Python's lasts as long as one of ours and has fewer steps"),
    );
    let scenario = with_methods(scenario, pool, task, inputs, python)
        .row(python.beside(Row::only_python("ProcessPoolExecutor"), "executor", 0))
        .row(procspawn_row(task, inputs))
        .row(crossmist_row())
        .row(python.beside(thread_pool_row(task, inputs), "thread_executor", 0))
        .row(rayon_row(move || {
            inputs()
                .into_par_iter()
                .map(task)
                .reduce(|| 0, u64::wrapping_add)
        }));
    bench.scenario(scenario.says(who_pays).says(beside_python));
    Ok(())
}

/// Which methods are faster than no pool at all.
fn who_pays(results: &Results) -> String {
    let one = results.median("one thread");
    let faster: Vec<&str> = METHODS
        .into_iter()
        .filter(|method| results.median(method) < one)
        .collect();
    let faster = match faster.as_slice() {
        [] => "none of the pool's methods".to_owned(),
        these => these.join(", "),
    };
    format!("Faster than one thread: {faster}.")
}

fn beside_python(results: &Results) -> String {
    let python = |label| results.times(results.python(label), results.median(label));
    format!(
        "Python's apply takes {} as long as ours, its map {}.",
        python("apply"),
        python("map")
    )
}

const METHODS: [&str; 7] = [
    "map",
    "map by 1",
    "map by 100",
    "apply",
    "apply_async",
    "imap",
    "imap_unordered",
];

/// An argument that is only looked at: its last byte.
fn last(bytes: ByteBuf) -> u64 {
    bytes.last().copied().map_or(0, u64::from)
}

fn arguments(
    name: &str,
    size: usize,
    count: usize,
    bench: &mut Bench,
) -> anyhow::Result<()> {
    let pool = &Pool::new(cpu_count())?;
    let mut argument = vec![0; size];
    argument[size - 1] = 1;
    let argument = &ByteBuf::from(argument);
    let inputs = move || vec![argument.clone(); count];
    let python = &InPython {
        kind: "arguments",
        batch: format!("{size} {count}"),
        answer: count as u64,
    };
    let one = Row::timed("one thread", move || {
        Ok(total(inputs().into_iter().map(last)))
    });
    let scenario = Scenario::new(
        QUESTION,
        format!("{name} arguments"),
        format!("{count} tasks that look at the last byte of an argument of {name}"),
        count as u64,
    )
    .at("size of an argument in bytes", size as f64)
    .row(
        python.beside(one, "one", 0).note(
            "a batch makes its arguments anew in Rust, Python has them already",
        ),
    );
    let scenario = with_methods(scenario, pool, last, inputs, python)
        .row(if size < 1 << 20 {
            procspawn_row(last, inputs)
        } else {
            let why = "1.0.2 waits for ever when it is given several such arguments";
            Row::absent("procspawn", why)
        })
        .row(crossmist_row())
        .row(python.beside(thread_pool_row(last, inputs), "thread_executor", 0))
        .row(rayon_row(move || inputs().into_par_iter().map(last).sum()));
    bench.scenario(scenario.says(who_pays).says(beside_python));
    Ok(())
}

/// So many no-ops that what counts is what one of them costs.
fn many(bench: &mut Bench) -> anyhow::Result<()> {
    const COUNT: usize = 20_000;
    /// Python needs most of a second for all of them.
    const PYTHON_COUNT: usize = COUNT / 10;
    let pool = &Pool::new(cpu_count())?;
    let workers = cpu_count();
    let call = |method| format!("pool.tasks_{method} {workers} 0 0 {PYTHON_COUNT}");
    let part = (PYTHON_COUNT as u64, (COUNT / PYTHON_COUNT) as f64);
    let inputs = || vec![0_u64; COUNT];
    let spawn = Row::new("rayon", |times| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .build()?;
        let results: Vec<AtomicU64> =
            (0..COUNT).map(|_| AtomicU64::new(0)).collect();
        clocked(times, || {
            pool.in_place_scope(|s| {
                for result in &results {
                    s.spawn(|_| result.store(no_task(), Ordering::Relaxed));
                }
            });
            Ok(total(results.iter().map(|r| r.swap(0, Ordering::Relaxed))))
        })
    });
    let scenario = Scenario::new(
        QUESTION,
        "20 000 no-ops",
        "20 000 tasks that do nothing, and their results, by a pool that stands",
        COUNT as u64,
    )
    .row(
        spawn.note("rayon's spawn has no result: each task adds its own to one sum"),
    );
    let scenario = scenario
        .row(apply_async_row(pool, task, inputs).python_part(
            call("apply_async"),
            part.0,
            part.1,
        ))
        .row(imap_unordered_row(pool, task, inputs).python_part(
            call("imap_unordered"),
            part.0,
            part.1,
        ));
    bench.scenario(scenario.says(|results| {
        let each = |label| results.each(label, COUNT);
        format!(
            "A task that does nothing takes {} by apply_async, {} by imap_unordered and \
             {} by rayon's spawn; apply_async takes {} as long as that.",
            each("apply_async"),
            each("imap_unordered"),
            each("rayon"),
            results.times(results.median("apply_async"), results.median("rayon")),
        )
    }));
    Ok(())
}

/// So many that they go in chunks.
fn very_many(bench: &mut Bench) -> anyhow::Result<()> {
    const COUNT: usize = 200_000;
    let pool = &Pool::new(cpu_count())?;
    let workers = cpu_count();
    let inputs = || vec![0_u64; COUNT];
    let scenario = Scenario::new(
        QUESTION,
        "200 000 no-ops",
        "200 000 inputs that nothing is done with, in chunks of the default size",
        COUNT as u64,
    )
    .row(rayon_row(move || inputs().into_par_iter().map(task).sum()))
    .row(
        Row::timed("map", move || Ok(total(pool.map(task, inputs())?)))
            .python(format!("pool.tasks_map {workers} 0 0 {COUNT}")),
    );
    bench.scenario(scenario.says(|results| {
        let each = |label| results.each(label, COUNT);
        format!(
            "An input takes {} by map, {} by rayon.",
            each("map"),
            each("rayon")
        )
    }));
    Ok(())
}

/// Has a thread do what it is asked for, one no-op at a time.
fn with_worker_thread<R>(
    work: impl FnOnce(&mut dyn FnMut() -> anyhow::Result<u64>) -> R,
) -> R {
    let (to, at) = channel::bounded::<fn() -> u64>(1);
    let (back, home) = channel::bounded(1);
    thread::scope(|s| {
        s.spawn(move || {
            on_core(1, || {
                // It ends when nobody is left who could ask or who listens.
                while let Ok(task) = at.recv() {
                    if back.send(task()).is_err() {
                        break;
                    }
                }
            })
        });
        let result = work(&mut || {
            to.send(no_task)?;
            Ok(home.recv()?)
        });
        drop(to);
        result
    })
}

/// A task given and its result awaited, before the next is given.
/// Whoever gives it is on one core, who does it on another.
fn round_trip(bench: &mut Bench) -> anyhow::Result<()> {
    let workers = cpu_count();
    let pool = &on_core(1, || Pool::new(workers))??;
    let worker = Row::new("crossbeam and a thread", |times| {
        with_worker_thread(|ask| clocked(times, ask))
    });
    let threads = Row::new("ThreadPool", |times| {
        let pool = on_core(1, || ThreadPool::new(workers))??;
        clocked(times, || Ok(pool.submit(no_task).result()?))
    });
    let procspawn = Row::new("procspawn", |times| {
        let pool = on_core(1, || procspawn::Pool::new(workers))??;
        let taken = clocked(times, || Ok(pool.spawn(0, task).join()?));
        pool.shutdown();
        taken
    });
    let limit = Row::new("spinning ping-pong", |times| {
        let word = &PingPong::new()?;
        let turns = |first: u32| -> Part<'_> {
            Box::new(move || {
                for turn in 0..times as u32 {
                    word.wait_for(2 * turn + first, Wait::Spin);
                    word.put(2 * turn + first + 1, Wait::Spin);
                }
                Ok(u64::from(first) * times)
            })
        };
        race_processes(vec![turns(0), turns(1)])
    });
    let scenario = Scenario::new(
        QUESTION,
        "round trip",
        "a no-op given, and its result awaited before the next is given",
        1,
    )
    .row(worker)
    .row(
        Row::timed("apply", || Ok(pool.apply(no_task, ())?))
            .python(format!("pool.apply_round_trip {workers}")),
    )
    .row(threads.python(format!("pool.thread_round_trip {workers}")))
    .row(procspawn)
    .row(crossmist_row())
    .row(
        limit
            .limit()
            .note("no task, only a word that changes, and each side needs a core"),
    );
    let scenario = scenario.says(|results| {
        let (ours, thread) = (
            results.median("apply"),
            results.median("crossbeam and a thread"),
        );
        format!(
            "A call in another process and back takes {} as long as one in another \
             thread, and procspawn's {} as long as ours.",
            results.times(ours, thread),
            results.times(results.median("procspawn"), ours),
        )
    });
    let scenario = scenario.says(|results| {
        let ours = results.median("apply");
        let python = results.times(results.python("apply"), ours);
        format!("Python's takes {python} as long as ours.")
    });
    Ok(on_core(0, || bench.scenario(scenario))?)
}

/// Calls so many times, and gives the time that one in a hundred takes longer than, as
/// if each had taken it.
fn percentile_99(
    times: u64,
    mut call: impl FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<(Duration, u64)> {
    let mut sum = 0_u64;
    let mut took = Vec::new();
    for _ in 0..times {
        let start = Instant::now();
        sum = sum.wrapping_add(call()?);
        took.push(start.elapsed());
    }
    took.sort_unstable();
    let which = (took.len() * 99 / 100).min(took.len() - 1);
    Ok((took[which] * u32::try_from(times)?, sum))
}

/// The round trips that take longest.
fn slowest(bench: &mut Bench) -> anyhow::Result<()> {
    let workers = cpu_count();
    let pool = &on_core(1, || Pool::new(workers))??;
    let scenario = Scenario::new(
        QUESTION,
        "round trip, 99th percentile",
        "a no-op given and its result awaited: the time that one in a hundred exceeds",
        1,
    )
    .row(Row::new("crossbeam and a thread", |times| {
        with_worker_thread(|ask| percentile_99(times, ask))
    }))
    .row(
        Row::new("apply", |times| {
            percentile_99(times, || Ok(pool.apply(no_task, ())?))
        })
        .python(format!("pool.apply_percentile_99 {workers}")),
    );
    let scenario = scenario.says(|results| {
        let ours = results.median("apply");
        let python = results.times(results.python("apply"), ours);
        format!("Python's slow ones take {python} as long as ours.")
    });
    Ok(on_core(0, || bench.scenario(scenario))?)
}

/// Twice as many workers as cores.
fn crowd(bench: &mut Bench) -> anyhow::Result<()> {
    const COUNT: usize = 1000;
    let workers = 2 * cpu_count();
    let steps = (10.0 * steps_per_microsecond()) as u64 & !1;
    let inputs = move || vec![steps; COUNT];
    let pool = &Pool::new(workers)?;
    let unspun_pool = &without_spinning(|| Pool::new(workers))?;
    let apply = move |pool: &Pool| by_apply(pool, task, inputs());
    let apply_async = move |pool: &Pool| by_apply_async(pool, task, inputs());
    let known = cal_known(steps).wrapping_add(1).wrapping_mul(COUNT as u64);
    let scenario = Scenario::new(
        QUESTION,
        "a crowd",
        format!(
            "{COUNT} tasks of 10 µs by {workers} workers, twice as many as cores"
        ),
        known,
    )
    .row(Row::timed("apply_async", move || apply_async(pool)))
    .row(Row::timed("apply_async, never spinning", move || {
        without_spinning(|| apply_async(unspun_pool))
    }))
    .row(Row::timed("apply", move || apply(pool)))
    .row(Row::timed("apply, never spinning", move || {
        without_spinning(|| apply(unspun_pool))
    }));
    let scenario = scenario.says(|results| spinning(results, "apply_async"));
    bench.scenario(scenario.says(|results| spinning(results, "apply")));
    Ok(())
}
