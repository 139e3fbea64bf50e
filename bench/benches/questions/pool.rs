//! When does a pool pay, and by which of its methods?

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench::sys::{PingPong, Wait};
use bench::{
    Bench, By, Part, Placement, Race, Results, Row, Scenario, cal, cal_known,
    worker_counts,
};
use crossbeam::channel;
use multiprocessing::{Pool, StartMethod, cpu_count};
use rayon::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use threading::ThreadPool;

use crate::work::{spinning, steps_per_microsecond, without_spinning};

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
    scaling(bench)?;
    many(bench)?;
    very_many(bench)?;
    for placement in Placement::all() {
        round_trip(placement, bench)?;
    }
    crowd(bench)
}

/// `steps` steps; one more, so that a no-op has an answer.
fn task(steps: u64) -> u64 {
    cal(steps).wrapping_add(1)
}

fn no_task() -> u64 {
    task(0)
}

/// Times `times` batches that a running pool does, after one that warms it up.
fn clocked(
    times: u64,
    mut batch: impl FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<(Duration, u64)> {
    batch()?;
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

/// A row of rayon, called from within its pool. Its threads must have ended before
/// anything forks.
#[track_caller]
fn rayon_row<'a>(workers: usize, batch: impl Fn() -> u64 + Sync + 'a) -> Row<'a> {
    Row::new("rayon", move |times| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(workers);
        threads.build()?.install(|| clocked(times, || Ok(batch())))
    })
}

/// A row of our pool of threads.
#[track_caller]
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

/// The most tasks that procspawn is given at a time: each holds descriptors, and it
/// panics if there are none left.
const PROCSPAWN_AT_A_TIME: usize = 50;

#[track_caller]
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
        "at most {PROCSPAWN_AT_A_TIME} tasks at a time, as each holds descriptors; its \
         workers are spawned"
    ))
}

fn crossmist_row<'a>() -> Row<'a> {
    let why = "1.1.2, the newest, panics at its first message under Rust 1.95";
    Row::absent("crossmist", why)
}

/// The same batch of tasks in Python, whose pools also stand from one sample to the
/// next.
struct InPython {
    /// The function: what the tasks are.
    kind: &'static str,
    /// Its arguments besides the method, the number of workers and the chunk size.
    batch: String,
    answer: u64,
}

/// A batch takes Python up to half a second.
const PYTHON_ROUNDS: usize = 5;

impl InPython {
    fn beside<'a>(&self, row: Row<'a>, method: &str, chunksize: usize) -> Row<'a> {
        let Self {
            kind,
            batch,
            answer,
        } = self;
        let workers = cpu_count();
        row.python(format!(
            "pool.{kind} {method} {workers} {chunksize} {batch}"
        ))
        .python_answer(*answer)
        .python_rounds(PYTHON_ROUNDS)
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
        scenario = scenario.row(python.beside(map, "map_by", chunksize));
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
    let tasks: Vec<_> = inputs
        .into_iter()
        .map(|input| pool.apply_async(function, (input,)))
        .collect();
    tasks
        .into_iter()
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
        // A task takes as long there, in fewer steps. It returns how many were right.
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
            "{count} tasks of {name}, by {workers} workers that run already; `by 100` is \
             a chunksize"
        ),
        known,
    )
    .at("length of a task in µs", microseconds)
    .rounds(if microseconds < 1000.0 { 11 } else { 7 })
    .row(
        python
            .beside(one, "one", 0)
            .note("a task takes Python as long as it takes Rust, and has fewer steps"),
    );
    let scenario = with_methods(scenario, pool, task, inputs, python)
        .row(python.beside(
            Row::only_python("ProcessPoolExecutor by 1"),
            "executor",
            1,
        ))
        .row(python.beside(
            Row::only_python("ProcessPoolExecutor, in chunks"),
            "executor",
            // As many chunks as a Pool makes.
            count.div_ceil(4 * workers),
        ))
        .row(procspawn_row(task, inputs))
        .row(crossmist_row())
        .row(python.beside(thread_pool_row(task, inputs), "thread_executor", 0))
        .row(rayon_row(workers, move || {
            inputs()
                .into_par_iter()
                .map(task)
                .reduce(|| 0, u64::wrapping_add)
        }));
    let what = |method| format!("`{method}`, {count} tasks of {name}");
    let scenario = scenario
        .ceiling([workers])
        .quote(what("map"), "map", ["one thread", "rayon"])
        .quote(what("apply"), "apply", ["one thread"])
        .says(which_pays)
        .says(beside_python);
    bench.scenario(scenario);
    Ok(())
}

/// Which methods are faster than no pool at all.
fn which_pays(results: &Results) -> Option<String> {
    results.faster_than("one thread", &METHODS)
}

fn beside_python(results: &Results) -> Option<String> {
    Some(format!(
        "Python's apply takes {} as long as ours, its map {}.",
        results.python("apply")?,
        results.python("map")?
    ))
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

/// A task that only looks at its argument's last byte.
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
    .rounds(11)
    .row(python.beside(one, "one", 0));
    let scenario = with_methods(scenario, pool, last, inputs, python)
        .row(if size < 1 << 20 {
            procspawn_row(last, inputs)
        } else {
            let why = "1.0.2 hangs if it is given several such arguments";
            Row::absent("procspawn", why)
        })
        .row(crossmist_row())
        .row(python.beside(thread_pool_row(last, inputs), "thread_executor", 0))
        .row(rayon_row(cpu_count(), move || {
            inputs().into_par_iter().map(last).sum()
        }))
        .ceiling([cpu_count()])
        .says(which_pays)
        .says(beside_python);
    bench.scenario(scenario);
    Ok(())
}

/// The same batch by 1, 2, 4, … workers.
fn scaling(bench: &mut Bench) -> anyhow::Result<()> {
    const COUNT: usize = 200;
    let steps = (100.0 * steps_per_microsecond()) as u64 & !1;
    let inputs = move || vec![steps; COUNT];
    let known = cal_known(steps).wrapping_add(1).wrapping_mul(COUNT as u64);
    let pools: Vec<(usize, Pool)> = worker_counts()
        .into_iter()
        .map(|workers| Ok((workers, Pool::new(workers)?)))
        .collect::<anyhow::Result<_>>()?;
    let mut scenario = Scenario::new(
        QUESTION,
        "more workers",
        format!("{COUNT} tasks of 100 µs, by workers that run already"),
        known,
    )
    .row(Row::timed("one thread", move || {
        Ok(total(inputs().into_iter().map(task)))
    }));
    for (workers, pool) in &pools {
        let workers = *workers;
        let map = Row::timed("map", move || Ok(total(pool.map(task, inputs())?)));
        let call = format!("pool.tasks map {workers} 0 100000 {COUNT}");
        scenario = scenario
            .row(
                map.workers(workers)
                    .python(call)
                    .python_answer(COUNT as u64)
                    .python_rounds(PYTHON_ROUNDS)
                    .note("a task takes Python as long as it takes Rust"),
            )
            .row(apply_async_row(pool, task, inputs).workers(workers))
            .row(
                rayon_row(workers, move || {
                    inputs()
                        .into_par_iter()
                        .map(task)
                        .reduce(|| 0, u64::wrapping_add)
                })
                .workers(workers),
            );
    }
    let cores = cpu_count();
    bench.scenario(scenario.ceiling(worker_counts()).says(move |results| {
        let label = |name: &str| format!("{name}/{cores}");
        Some(format!(
            "One thread takes {} as long as map by {cores} workers, and {} as long as \
             rayon's.",
            results.times("one thread", &label("map"))?,
            results.times("one thread", &label("rayon"))?,
        ))
    }));
    Ok(())
}

/// So many no-ops that only the cost of each one counts.
fn many(bench: &mut Bench) -> anyhow::Result<()> {
    const COUNT: usize = 20_000;
    let pool = &Pool::new(cpu_count())?;
    let workers = cpu_count();
    let inputs = || vec![0_u64; COUNT];
    let spawn = Row::new("rayon", |times| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .build()?;
        let results: Vec<AtomicU64> =
            (0..COUNT).map(|_| AtomicU64::new(0)).collect();
        pool.install(|| {
            clocked(times, || {
                rayon::scope(|s| {
                    for result in &results {
                        s.spawn(|_| result.store(no_task(), Ordering::Relaxed));
                    }
                });
                Ok(total(results.iter().map(|r| r.swap(0, Ordering::Relaxed))))
            })
        })
    });
    let scenario = Scenario::new(
        QUESTION,
        "20 000 no-ops",
        "20 000 tasks that do nothing, and their results, by a pool that stands",
        COUNT as u64,
    )
    .row(spawn.note("rayon's spawn returns nothing, so each task stores its result"))
    .row(in_python(
        apply_async_row(pool, task, inputs),
        "apply_async",
        COUNT,
    ))
    .row(in_python(
        imap_unordered_row(pool, task, inputs),
        "imap_unordered",
        COUNT,
    ))
    .ceiling([workers])
    .quote("`apply_async`, 20 000 no-ops", "apply_async", ["rayon"])
    .quote("`imap_unordered`, 20 000 no-ops", "imap_unordered", ["rayon"])
    .says(|results| {
        let each = |label| results.each(label, COUNT);
        Some(format!(
            "A task that does nothing takes {} by apply_async, {} by imap_unordered and \
             {} by rayon's spawn; apply_async takes {} as long as that.",
            each("apply_async")?,
            each("imap_unordered")?,
            each("rayon")?,
            results.times("apply_async", "rayon")?,
        ))
    });
    bench.scenario(scenario);
    Ok(())
}

/// `count` no-ops in Python, all of them.
fn in_python<'a>(row: Row<'a>, method: &str, count: usize) -> Row<'a> {
    row.python(format!("pool.tasks {method} {} 0 0 {count}", cpu_count()))
        .python_rounds(3)
}

/// So many that they go in chunks.
fn very_many(bench: &mut Bench) -> anyhow::Result<()> {
    const COUNT: usize = 200_000;
    let pool = &Pool::new(cpu_count())?;
    let inputs = || vec![0_u64; COUNT];
    let scenario = Scenario::new(
        QUESTION,
        "200 000 no-ops",
        "200 000 inputs that nothing is done with, in chunks of the default size",
        COUNT as u64,
    )
    .row(rayon_row(cpu_count(), move || {
        inputs().into_par_iter().map(task).sum()
    }))
    .row(in_python(
        Row::timed("map", move || Ok(total(pool.map(task, inputs())?))),
        "map",
        COUNT,
    ))
    .ceiling([cpu_count()])
    .quote("`map`, 200 000 no-ops", "map", ["rayon"])
    .says(|results| {
        let each = |label| results.each(label, COUNT);
        Some(format!(
            "An input takes {} by map, {} by rayon.",
            each("map")?,
            each("rayon")?
        ))
    });
    bench.scenario(scenario);
    Ok(())
}

/// Has a thread do what it is asked for, one no-op at a time.
fn with_worker_thread<R>(
    placement: Placement,
    work: impl FnOnce(&mut dyn FnMut() -> anyhow::Result<u64>) -> R,
) -> R {
    let (to, at) = channel::bounded::<fn() -> u64>(1);
    let (back, home) = channel::bounded(1);
    thread::scope(|s| {
        s.spawn(move || {
            placement.run(1, || {
                // It ends when the asker is gone.
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

/// How long each of `count` calls takes, after some that warm up.
fn each_of(
    count: u64,
    mut call: impl FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<Vec<Duration>> {
    for _ in 0..100 {
        call()?;
    }
    let timed = (0..count).map(|_| {
        let start = Instant::now();
        call()?;
        Ok(start.elapsed())
    });
    timed.collect()
}

/// A task given and its result awaited, before the next is given. The bench gives it,
/// and the pool is the other side.
fn round_trip(placement: Placement, bench: &mut Bench) -> anyhow::Result<()> {
    let workers = cpu_count();
    let pool = &placement.run(1, || Pool::new(workers))??;
    let spawned = Pool::builder()
        .processes(workers)
        .start_method(StartMethod::Spawn);
    let spawned = &placement.run(1, || spawned.start())??;
    let worker = Row::new("crossbeam and a thread", move |times| {
        with_worker_thread(placement, |ask| clocked(times, ask))
    });
    let worker = worker
        .tail(move |count| with_worker_thread(placement, |ask| each_of(count, ask)));
    let threads = Row::new("ThreadPool", move |times| {
        let pool = placement.run(1, || ThreadPool::new(workers))??;
        clocked(times, || Ok(pool.submit(no_task).result()?))
    });
    let procspawn = Row::new("procspawn", move |times| {
        let pool = placement.run(1, || procspawn::Pool::new(workers))??;
        let taken = clocked(times, || Ok(pool.spawn(0, task).join()?));
        pool.shutdown();
        taken
    });
    let python = format!("{} {workers}", placement.in_python());
    let mut scenario = Scenario::new(
        QUESTION,
        "round trip",
        "a no-op given, and its result awaited before the next is given",
        1,
    )
    .placed(placement)
    .budget(Duration::from_secs(1))
    .row(worker)
    .row(
        Row::timed("apply", || Ok(pool.apply(no_task, ())?))
            .tail(|count| each_of(count, || Ok(pool.apply(no_task, ())?)))
            .python(format!("pool.apply_round_trip {python}"))
            .python_tail(format!("pool.apply_tail {python}")),
    )
    .row(Row::timed("apply, spawned Pool", || {
        Ok(spawned.apply(no_task, ())?)
    }))
    .row(threads.python(format!("pool.thread_round_trip {python}")))
    .row(
        procspawn
            .note("its workers are spawned; it starts them and its thread anew"),
    )
    .row(crossmist_row());
    let can_spin = match placement {
        Placement::Free | Placement::Apart => cpu_count() > 1,
        Placement::OneCore | Placement::Busy => false,
    };
    if can_spin {
        scenario = scenario.row(
            Row::new("spinning ping-pong", move |times| {
                ping_pong(placement, times)
            })
            .limit()
            .note("it carries no task, only a word that changes"),
        );
    }
    if matches!(placement, Placement::Free | Placement::Busy) {
        scenario = scenario
            .quote("`Pool::apply`", "apply", ["crossbeam and a thread"])
            .quote("the same by spawn", "apply, spawned Pool", ["procspawn"])
            .quote_tail(
                "`Pool::apply`, 99th percentile",
                "apply",
                ["crossbeam and a thread"],
            );
    }
    let scenario = scenario
        .ceiling([2])
        .says(|results| {
            Some(format!(
                "A call in another process and back takes {} as long as one in another \
                 thread, and procspawn's {} as long as ours by spawn.",
                results.times("apply", "crossbeam and a thread")?,
                results.times("procspawn", "apply, spawned Pool")?,
            ))
        })
        .says(|results| {
            Some(format!(
                "Python's takes {} as long as ours, and the slowest of a hundred {}.",
                results.python("apply")?,
                results.python_tail("apply")?
            ))
        });
    Ok(placement.run(0, || bench.scenario(scenario))?)
}

/// Two processes that change a word in turn, and spin.
fn ping_pong(placement: Placement, times: u64) -> anyhow::Result<(Duration, u64)> {
    let word = &PingPong::new()?;
    let turns = |first: u32| -> Part<'_> {
        let mut turn = 0;
        Box::new(move |times| {
            for _ in 0..times {
                word.wait_for(2 * turn + first, Wait::Spin);
                word.put(2 * turn + first + 1, Wait::Spin);
                turn += 1;
            }
            Ok(u64::from(first) * times)
        })
    };
    let race = Race {
        by: By::Processes,
        placement,
        warm: 100,
    };
    race.run(times, vec![turns(0), turns(1)])
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
    let scenario = scenario
        .ceiling([cpu_count()])
        .says(|results| spinning(results, "apply_async"))
        .says(|results| spinning(results, "apply"));
    bench.scenario(scenario);
    Ok(())
}
