//! What does it cost to start something, and to wait for its end?

use std::env;
use std::hint::black_box;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use bench::{Bench, Of, Row, Scenario, sys, worker_counts};
use multiprocessing::{Pool, Process, StartMethod, cpu_count};
use subprocess::Popen;
use threading::ThreadPool;

const QUESTION: &str = "start";

/// As the first argument, has this program end at once.
pub(crate) const NOTHING: &str = "--nothing";

pub(crate) fn measure(bench: &mut Bench) {
    worker(bench);
    for workers in worker_counts() {
        pool(workers, bench);
    }
    for (name, mebibytes) in [("program", 1_usize), ("program from 1 GiB", 1024)] {
        program(bench, name, mebibytes);
    }
}

fn nothing() {}

fn nothing_spawned((): ()) {}

fn same(n: usize) -> usize {
    n
}

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
    .budget(Duration::from_secs(3))
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
        Row::only_python("Process, forkserver")
            .unlimited()
            .python("start.forkserver_process")
            .note("its server is up before the clock starts"),
    )
    .row(
        Row::timed("bare fork", || {
            sys::bare_forks(1)?;
            Ok(1)
        })
        .limit()
        .note("its child only ends: the limit of what forks, and of nothing else"),
    )
    .row(
        Row::timed("this program, by Command", || {
            let mut program = Command::new(env::current_exe()?);
            ensure!(program.arg(NOTHING).status()?.success(), "it failed");
            Ok(1)
        })
        .unlimited()
        .note("it ends at once: what a spawned Process takes without the library"),
    )
    .row(
        Row::timed("/bin/true, by Command", || {
            ensure!(Command::new("/bin/true").status()?.success(), "it failed");
            Ok(1)
        })
        .unlimited(),
    )
    .quote("`Process`, started and joined", "Process", ["bare fork"])
    .quote(
        "the same by spawn",
        "Process, spawned",
        ["this program, by Command", "/bin/true, by Command"],
    )
    .says(|results| {
        Some(format!(
            "A Process takes {} as long as a bare fork. A spawned one takes {} as long \
             as this program alone, which takes {} as long as /bin/true.",
            results.times("Process", "bare fork")?,
            results.times("Process, spawned", "this program, by Command")?,
            results.times("this program, by Command", "/bin/true, by Command")?,
        ))
    })
    .says(|results| {
        Some(format!(
            "A process takes {} as long to start as a thread, a spawned one {}.",
            results.times("Process", "thread")?,
            results.times("Process, spawned", "thread")?,
        ))
    })
    .says(|results| {
        let server = Of::Python("Process, forkserver");
        Some(format!(
            "Python's Process takes {} as long as ours, by spawn {}, and by forkserver \
             {} as long as ours by spawn.",
            results.python("Process")?,
            results.python("Process, spawned")?,
            results.ratio(server, Of::Rust("Process, spawned"))?
        ))
    });
    bench.scenario(scenario);
}

fn pool(workers: usize, bench: &mut Bench) {
    let start_and_end = move |method| {
        let pool = Pool::builder().processes(workers).start_method(method);
        let pool = pool.start()?;
        pool.close();
        pool.join()?;
        Ok(1)
    };
    let use_once = move || {
        let pool = Pool::new(workers)?;
        let answers = pool.map(same, 0..workers)?;
        ensure!(answers.into_iter().eq(0..workers), "a task is missing");
        pool.close();
        pool.join()?;
        Ok(1)
    };
    let mut scenario = Scenario::new(
        QUESTION,
        format!("pool of {workers}"),
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
        Row::timed("Pool", move || start_and_end(StartMethod::Fork))
            .unlimited()
            .python(format!("start.pool fork {workers}"))
            .note("closed at once, it starts no workers"),
    )
    .row(
        Row::timed("Pool, used", use_once)
            .python(format!("start.used_pool {workers}"))
            .note("for one `map` with an item for each worker"),
    )
    .row(
        Row::timed("Pool, spawned", move || start_and_end(StartMethod::Spawn))
            .unlimited()
            .python(format!("start.pool spawn {workers}"))
            .python_rounds(3),
    )
    .row(
        Row::timed("procspawn", move || {
            procspawn::Pool::new(workers)?.shutdown();
            Ok(1)
        })
        .unlimited()
        .note("it starts its workers as our spawned Pool does"),
    )
    .row(
        Row::timed("bare forks", move || {
            // One for each worker and one for the supervisor.
            sys::bare_forks(workers + 1)?;
            Ok(1)
        })
        .limit()
        .note("one for each worker and one for the supervisor, side by side"),
    );
    if workers > 1 {
        scenario = scenario.ceiling([workers]);
    }
    if workers == cpu_count() {
        scenario = scenario
            .quote(format!("`Pool::new({workers})`, close, join"), "Pool", [])
            .quote("the same with one `map`", "Pool, used", ["bare forks"])
            .quote(
                format!("`Pool::new({workers})` by spawn, close, join"),
                "Pool, spawned",
                ["procspawn"],
            );
    }
    let scenario = scenario
        .says(|results| {
            Some(format!(
                "A Pool that is used takes {} as long as the forks that it needs, and \
                 procspawn's {} as long as ours by spawn.",
                results.times("Pool, used", "bare forks")?,
                results.times("procspawn", "Pool, spawned")?,
            ))
        })
        .says(|results| {
            Some(format!(
                "Python's Pool takes {} as long as ours, {} if it is used, and by spawn {}.",
                results.python("Pool")?,
                results.python("Pool, used")?,
                results.python("Pool, spawned")?
            ))
        });
    bench.scenario(scenario);
}

/// From a parent that has touched this much memory: a fork would copy its page tables.
fn program(bench: &mut Bench, name: &str, mebibytes: usize) {
    let memory = black_box(vec![1_u8; mebibytes << 20]);
    let checked = |success: bool| {
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
            checked(Popen::new(&mut Command::new("true"))?.wait()? == 0)
        })
        .python(format!("start.program {mebibytes}")),
    )
    .row(
        Row::timed("Command", move || {
            checked(Command::new("true").spawn()?.wait()?.success())
        })
        .limit(),
    )
    .says(|results| {
        let times = results.times("Popen", "Command")?;
        Some(format!(
            "The subprocess library takes {times} as long as std alone."
        ))
    });
    bench.scenario(scenario);
    drop(memory);
}
