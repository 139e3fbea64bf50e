//! The options of a pool, and how its tasks can end.
//!
//! Listing D56, 达内 course notes, 进程池简介 (prose). If a worker is killed, Python waits
//! for its task for ever.

use std::collections::HashSet;
use std::process;

use multiprocessing::{Pool, TaskError, cpu_count, current_process};
use nix::sys::signal::{Signal, raise};
use tutorial::{Result, sleep};

fn prepare(greeting: String) {
    println!("{greeting} from {}", current_process().name());
}

fn pid(_: i32) -> u32 {
    process::id()
}

fn divide(a: i32, b: i32) -> i32 {
    a / b
}

fn kill_oneself() {
    raise(Signal::SIGKILL).unwrap();
}

fn main() -> Result<()> {
    // Python up to 3.12 counts all of the machine's; later, as here, those that it
    // may use.
    println!("processes, by default: {}", cpu_count());

    println!("processes=2, initializer=prepare, initargs=(\"hello\",)");
    let pool = Pool::builder()
        .processes(2)
        .initializer(prepare, ("hello".to_string(),))
        .start()?;

    println!("divide(7, 2) = {}", pool.apply(divide, (7, 2))?);
    // The panic of a task is an error here, and its worker takes the next task.
    if let Err(TaskError::Panicked { message, .. }) = pool.apply(divide, (7, 0)) {
        println!("divide(7, 0): {message}");
    }
    // The pool starts another worker, which runs the initializer, too.
    if let Err(error) = pool.apply(kill_oneself, ()) {
        println!("kill_oneself(): {error}");
    }
    for b in [3, 0] {
        pool.apply_async(divide, (9, b))
            .callback(|value| println!("callback: {value}"))
            .error_callback(|_| println!("error callback: no value"))
            .wait();
    }

    if let Err(error) = pool.join() {
        println!("join before close: {error}");
    }
    pool.close();
    if let Err(error) = pool.apply(divide, (1, 1)) {
        println!("after close: {error}");
    }
    pool.join()?;

    println!("maxtasksperchild=2, chunksize=3");
    let pool = Pool::builder().processes(1).maxtasksperchild(2).start()?;
    let pids = pool.chunksize(3).map(pid, 0..12)?;
    let workers: HashSet<u32> = pids.into_iter().collect();
    println!("12 items, 4 chunks, {} workers", workers.len());

    let endless = pool.apply_async(|| sleep(1e6), ());
    pool.terminate();
    if let Err(error) = endless.get() {
        println!("after terminate: {error}");
    }
    pool.join()?;
    Ok(())
}
