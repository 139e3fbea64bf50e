//! Which worker of a pool ran which task when, for `apply`, `apply_async` and `map`.
//!
//! Listing D55, 达内 course notes, day02, exercise 2. The chart comes out on the terminal
//! and as `pool_schedule.svg`, or the file that is named as argument.

use std::time::SystemTime;
use std::{env, fs};

use multiprocessing::{AsyncResult, Pool, current_process};
use tutorial::Timeline;
use tutorial::{Result, sleep};

/// What a task reports: its worker, its number, when it began and when it ended.
type Run = (String, u32, f64, f64);

/// A clock that all processes share.
fn time() -> f64 {
    let now = SystemTime::UNIX_EPOCH.elapsed();
    now.map_or(0.0, |now| now.as_secs_f64())
}

fn task(number: u32) -> Run {
    let start = time();
    sleep(0.5 + 0.25 * f64::from(number % 3));
    (current_process().name().into(), number, start, time())
}

fn chart(title: &str, runs: Vec<Run>) -> Timeline {
    let mut timeline = Timeline::new(title);
    for (worker, number, start, end) in runs {
        let label = char::from_digit(number, 36).unwrap();
        timeline.bar(worker, label, start, end);
    }
    print!("{timeline}");
    timeline
}

fn main() -> Result<()> {
    let path = env::args_os().nth(1).unwrap_or("pool_schedule.svg".into());
    let pool = Pool::new(3)?;

    // One after the other, whoever does it.
    let runs = (0..6).map(|n| pool.apply(task, (n,)));
    let apply = chart("apply", runs.collect::<Result<_, _>>()?);

    // Whoever is free takes the next one.
    let results: Vec<_> = (0..6).map(|n| pool.apply_async(task, (n,))).collect();
    let runs = results.into_iter().map(AsyncResult::get);
    let apply_async = chart("apply_async", runs.collect::<Result<_, _>>()?);

    // Two at a time go to a worker in one piece.
    let runs = pool.chunksize(2).map(task, 0..6)?;
    let map = chart("map, chunksize 2", runs);

    pool.close();
    pool.join()?;
    fs::write(path, Timeline::svg(&[apply, apply_async, map]))?;
    Ok(())
}
