//! Four tasks that compute and four that wait: in turn, by threads, by processes.
//!
//! Listing D60, 达内 course notes, 什么时候用多线程 (prose). Tasks that wait gain by either.
//! Tasks that compute gain by either as well, as far as there are processors. In
//! Python they gain by processes only: its GIL lets one thread run at a time, unless
//! it is a build without one, which there is since 3.13.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use multiprocessing::Process;
use tutorial::{Result, sleep};

fn compute() {
    for i in 0..10_000_000 {
        black_box(i); // Otherwise the optimiser would leave nothing to do.
    }
}

fn wait() {
    sleep(0.5);
}

fn threads(task: fn()) {
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(task);
        }
    });
}

fn processes(task: fn()) -> Result<()> {
    let mut processes = Vec::new();
    for _ in 0..4 {
        let mut p = Process::new(task);
        p.start()?;
        processes.push(p);
    }
    for p in processes {
        p.join()?;
    }
    Ok(())
}

fn report(way: &str, start: Instant) {
    println!("{way}: {:.2} s", start.elapsed().as_secs_f64());
}

fn main() -> Result<()> {
    for (name, task) in [("compute", compute as fn()), ("wait", wait)] {
        println!("{name}");
        let start = Instant::now();
        for _ in 0..4 {
            task();
        }
        report("one after the other", start);

        let start = Instant::now();
        threads(task);
        report("threads", start);

        let start = Instant::now();
        processes(task)?;
        report("processes", start);
    }
    Ok(())
}
