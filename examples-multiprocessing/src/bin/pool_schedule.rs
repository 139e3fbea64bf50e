//! Which worker of a pool ran which task when, for `apply`, `apply_async` and `map`.
//!
//! Listing D55, 达内 course notes, 进程池的调度细节 (exercise): three workers and four tasks
//! of three seconds. The chart is printed, and written to `pool_schedule.svg` or the
//! file that an argument names. Python's workers take turns under `apply`; here the
//! same worker may take each task, since it looks for the next before it sleeps.

use std::path::PathBuf;
use std::time::SystemTime;
use std::{env, fs};

use multiprocessing::{Pool, current_process};
use tutorial::{Result, Timeline, sleep, with_path};

/// What a task reports: its worker, its number, when it began and when it ended.
type Run = (String, u32, f64, f64);

/// Of the one clock that all processes share.
fn time() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

fn task(number: u32) -> Run {
    let start = time();
    sleep(3.0);
    (current_process().name().into(), number, start, time())
}

fn chart(title: &str, runs: Vec<Run>) -> Timeline {
    let mut timeline = Timeline::new(title);
    // An idle worker has a row as well.
    for worker in 1..=3 {
        timeline.row(format!("ForkPoolWorker-{worker}"));
    }
    for (worker, number, start, end) in runs {
        let label = char::from_digit(number, 10).unwrap();
        timeline.bar(worker, label, start, end);
    }
    print!("{timeline}");
    timeline
}

fn main() -> Result<()> {
    let path = env::args_os()
        .nth(1)
        .map_or_else(|| "pool_schedule.svg".into(), PathBuf::from);
    let pool = Pool::new(3)?;

    // One after the other
    let mut runs = Vec::new();
    for i in 0..4 {
        runs.push(pool.apply(task, (i,))?);
    }
    let apply = chart("apply", runs);

    // A worker that is free takes the next one.
    let mut results = Vec::new();
    for i in 0..4 {
        results.push(pool.apply_async(task, (i,)));
    }
    let mut runs = Vec::new();
    for result in results {
        runs.push(result.get()?);
    }
    let apply_async = chart("apply_async", runs);

    // Two at a time go to a worker in one piece.
    let runs = pool.chunksize(2).map(task, 0..4)?;
    let map = chart("map, chunksize 2", runs);

    pool.close();
    pool.join()?;
    let svg = Timeline::svg(&[apply, apply_async, map]);
    fs::write(&path, svg).map_err(with_path(&path))?;
    println!("written to {}", path.display());
    Ok(())
}
