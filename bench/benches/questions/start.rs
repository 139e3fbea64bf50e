//! What does it cost to start something, and to wait for its end?

use std::env;
use std::hint::black_box;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use bench::{Bench, Results, Row, Scenario, sys};
use multiprocessing::{Pool, Process, cpu_count};
use subprocess::Popen;
use threading::ThreadPool;

const QUESTION: &str = "start";

/// As the first argument, has this program end at once.
pub(crate) const NOTHING: &str = "--nothing";

pub(crate) fn measure(bench: &mut Bench) {
    worker(bench);
    pool(bench);
    for (name, mebibytes) in [("program", 1_usize), ("program from 1 GiB", 1024)] {
        program(bench, name, mebibytes);
    }
}

/// What a worker does that is only started: nothing, in one way or another.
fn nothing() {}

fn nothing_spawned((): ()) {}

fn join(mut process: Process<'_>) -> anyhow::Result<u64> {
    process.start()?;
    process.join()?;
    ensure!(process.exitcode() == Some(0), "it exited with an error");
    Ok(1)
}

fn worker(bench: &mut Bench) {
    let scenario = Scenario::new(
        QUESTION,
        "worker",
        "something started that does nothing, and waited for",
        1,
    )
    .row(
        Row::timed("thread", || {
            thread::spawn(nothing).join().unwrap();
            Ok(1)
        })
        .unlimited()
        .python("start.thread"),
    )
    .row(
        Row::timed("scoped thread", || {
            thread::scope(|s| {
                s.spawn(nothing);
            });
            Ok(1)
        })
        .unlimited(),
    )
    .row(
        Row::timed("Process", || join(Process::new(nothing)))
            .python("start.process"),
    )
    .row(
        Row::timed("Process, spawned", || {
            join(Process::spawned(nothing_spawned, ()))
        })
        .unlimited()
        .python("start.spawned"),
    )
    .row(
        Row::timed("bare fork", || {
            sys::bare_fork()?;
            Ok(1)
        })
        .limit()
        .note("its child only ends: the limit of what forks, of nothing else"),
    )
    .row(
        Row::timed("this program, by Command", || {
            let mut program = Command::new(env::current_exe()?);
            ensure!(program.arg(NOTHING).status()?.success(), "it failed");
            Ok(1)
        })
        .unlimited()
        .note("it ends at once: what is left of a spawned Process without the library"),
    )
    .row(
        Row::timed("/bin/true, by Command", || {
            ensure!(Command::new("/bin/true").status()?.success(), "it failed");
            Ok(1)
        })
        .unlimited(),
    )
    .says(|results| {
        let spawned = results.median("Process, spawned");
        format!(
            "A Process takes {} as long as a bare fork. A spawned one takes {} as long \
             as this program alone, which is larger than /bin/true and takes {} as long \
             as that.",
            results.times(results.median("Process"), results.median("bare fork")),
            results.times(spawned, results.median("this program, by Command")),
            results.times(
                results.median("this program, by Command"),
                results.median("/bin/true, by Command")
            ),
        )
    })
    .says(|results| {
        let (thread, process) =
            (results.median("thread"), results.median("Process"));
        let spawned = results.median("Process, spawned");
        format!(
            "A process takes {} as long to start as a thread, a spawned one {}.",
            results.times(process, thread),
            results.times(spawned, thread),
        )
    })
    .says(|results| {
        let python =
            |label| results.times(results.python(label), results.median(label));
        format!(
            "Python's Process takes {} as long as ours, by spawn {}.",
            python("Process"),
            python("Process, spawned")
        )
    });
    bench.scenario(scenario);
}

fn pool(bench: &mut Bench) {
    let workers = cpu_count();
    let scenario = Scenario::new(
        QUESTION,
        "pool",
        format!("a pool of {workers} started and ended"),
        1,
    )
    .row(
        Row::timed("ThreadPool", move || {
            drop(ThreadPool::new(workers)?);
            Ok(1)
        })
        .unlimited()
        .python(format!("start.thread_pool {workers}")),
    )
    .row(
        Row::timed("Pool", move || {
            let pool = Pool::new(workers)?;
            pool.close();
            pool.join()?;
            Ok(1)
        })
        .python(format!("start.pool {workers}")),
    )
    .row(
        Row::timed("procspawn", move || {
            procspawn::Pool::new(workers)?.shutdown();
            Ok(1)
        })
        .unlimited(),
    )
    .row(
        Row::timed("bare forks", move || {
            // As many as the pool has workers, and one for its supervisor.
            for _ in 0..=workers {
                sys::bare_fork()?;
            }
            Ok(1)
        })
        .limit()
        .note("one for each worker and the supervisor, one after the other"),
    )
    .says(|results| {
        let ours = results.median("Pool");
        format!(
            "A Pool takes {} as long as the forks that it needs.",
            results.times(ours, results.median("bare forks")),
        )
    })
    .says(|results| {
        let ours = results.median("Pool");
        let python = results.times(results.python("Pool"), ours);
        format!("Python's Pool takes {python} as long as ours.")
    });
    bench.scenario(scenario);
}

/// From a parent that has touched so much memory: a fork would copy its page tables.
fn program(bench: &mut Bench, name: &str, mebibytes: usize) {
    let memory = black_box(vec![1_u8; mebibytes << 20]);
    let well = |success: bool| {
        ensure!(success, "it exited with an error");
        Ok(1)
    };
    let scenario = Scenario::new(
        QUESTION,
        name,
        format!("`true` started and waited for, {mebibytes} MiB in use"),
        1,
    )
    .budget(Duration::from_secs(1))
    .row(
        Row::timed("Popen", move || {
            well(Popen::new(&mut Command::new("true"))?.wait()? == 0)
        })
        .python(format!("start.program {mebibytes}")),
    )
    .row(
        Row::timed("Command", move || {
            well(Command::new("true").spawn()?.wait()?.success())
        })
        .limit(),
    )
    .says(|results: &Results| {
        let (ours, limit) = (results.median("Popen"), results.median("Command"));
        format!(
            "The subprocess library takes {} as long as std alone.",
            results.times(ours, limit)
        )
    });
    bench.scenario(scenario);
    drop(memory);
}
