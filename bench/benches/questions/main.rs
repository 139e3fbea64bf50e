//! The questions, in the order in which they are answered.

mod broker;
mod files;
mod locks;
mod managers;
mod pool;
mod queues;
mod shared;
mod start;
mod threads_vs_processes;
mod work;

use std::env;
use std::process::ExitCode;

use bench::Bench;
use multiprocessing::{cpu_count, freeze_support, set_spinning};

fn main() -> anyhow::Result<ExitCode> {
    if env::args().nth(1).as_deref() == Some(start::NOTHING) {
        return Ok(ExitCode::SUCCESS);
    }
    if env::args().nth(1).as_deref() == Some(broker::WORKER) {
        broker::serve(&env::args().nth(2).unwrap_or_default())?;
        return Ok(ExitCode::SUCCESS);
    }
    // A process that the library or procspawn has spawned is this program, too.
    freeze_support();
    procspawn::init();
    // Set here, since a process that is pinned to one core would find that there is
    // only one, and never spin.
    set_spinning(cpu_count() > 1);
    let mut bench = Bench::from_args()?;
    // This comes first, as a fork takes longer the more memory this process has used.
    start::measure(&mut bench);
    threads_vs_processes::measure(&mut bench)?;
    pool::measure(&mut bench)?;
    queues::measure(&mut bench)?;
    locks::measure(&mut bench)?;
    shared::measure(&mut bench)?;
    managers::measure(&mut bench)?;
    files::measure(&mut bench)?;
    // This comes last, as a pool over a broker has threads, which must not fork.
    broker::measure(&mut bench)?;
    bench.finish()
}
