//! Squares numbers until Ctrl+C or SIGTERM comes, and then ends in good order: with a
//! process, a pool and a manager.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use multiprocessing::managers::{ListProxy, manager};
use multiprocessing::{Event, Pool, Process, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// How long a task may take, and how long each may take to finish at the end.
const GRACE: Duration = Duration::from_secs(10);

/// A task of the pool.
fn square(n: i64) -> i64 {
    thread::sleep(Duration::from_millis(50));
    n * n
}

/// What the child does, piece by piece. No piece is broken off.
fn work(ready: &Event, stop: &Event) {
    // Ctrl+C reaches every process of the terminal. Without a handler it would end this one
    // in the middle of a piece.
    let told = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&told)).unwrap();
    }
    ready.set();
    let mut pieces = 0;
    while !stop.is_set() && !told.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(50));
        pieces += 1;
    }
    println!("child: finished {pieces} pieces");
}

pub(crate) fn main() -> Result<()> {
    // The child is forked before this process handles signals, so that it can register
    // the same ones.
    let (ready, stop) = (Event::new()?, Event::new()?);
    let mut child = Process::new(|| work(&ready, &stop));
    child.start()?;
    let mut manager = manager()?;
    let squares: ListProxy = manager.list([0_i64; 0])?;
    let pool = Pool::new(2)?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    while child.is_alive() && !ready.wait_timeout(GRACE) {}

    println!("working");
    let mut numbers = 0_i64..;
    let mut running = VecDeque::new();
    let signal = loop {
        while running.len() < 4 {
            let n = numbers.next().unwrap_or_default();
            running.push_back(pool.deadline(GRACE).apply_async(square, (n,)));
        }
        if let Some(signal) = signals.pending().next() {
            break signal;
        }
        if let Some(task) = running.pop_front() {
            squares.append(task.get()?)?;
        }
    };

    println!("signal {signal}: {} tasks to finish", running.len());
    stop.set();
    pool.close();
    for task in running {
        squares.append(task.get()?)?;
    }
    if !pool.join_timeout(GRACE)? {
        pool.terminate();
        pool.join()?;
    }
    if !child.join_timeout(GRACE)? {
        // Not terminate: the child handles SIGTERM.
        child.kill()?;
        child.join()?;
    }
    // The manager has ignored Ctrl+C, so the results are still there.
    let whole = i64::try_from(squares.len()?) == Ok(numbers.start);
    println!("all squares are there: {whole}");
    manager.shutdown()?;
    Ok(())
}
