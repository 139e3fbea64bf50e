//! Shows the state of a queue at a broker, and retries or removes its dead tasks.
//!
//! ```text
//! multiprocessing-status redis://host:6379/0 [QUEUE]           the queue, live
//! multiprocessing-status redis://host:6379/0 QUEUE once        as it is now
//! multiprocessing-status redis://host:6379/0 QUEUE dead        the dead tasks
//! multiprocessing-status redis://host:6379/0 QUEUE retry PLACE tries a dead task again
//! multiprocessing-status redis://host:6379/0 QUEUE drop PLACE  removes a dead task
//! ```

// A file of the library, which does not offer it to other programs.
#[path = "../visible.rs"]
mod visible;

use std::env;
use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use multiprocessing::broker::{BrokerError, Queue, Stats};
use visible::visible;

const USAGE: &str = "Usage: multiprocessing-status redis://HOST:PORT/0 \
                     [QUEUE [once | dead | retry PLACE | drop PLACE]]";

/// The time between two updates of the display.
const PERIOD: Duration = Duration::from_millis(500);
/// The largest number of workers, and of tasks, that are listed.
const LINES: usize = 20;
/// The largest number of dead tasks that are listed.
const DEAD: usize = 1000;

fn main() -> ExitCode {
    // What is not Unicode is refused like other arguments that mean nothing.
    let arguments: Vec<String> = (env::args_os().skip(1))
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [url] if !url.starts_with('-') => watch(url, "default"),
        [url, queue] => watch(url, queue),
        [url, queue, "once"] => once(url, queue),
        [url, queue, "dead"] => list_dead(url, queue),
        [url, queue, "retry", place] => Queue::open(url, queue)
            .and_then(|queue| queue.retry(place))
            .map(found),
        [url, queue, "drop", place] => Queue::open(url, queue)
            .and_then(|queue| queue.discard(place))
            .map(found),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("Error: {}", visible(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn found(found: bool) -> ExitCode {
    if found {
        return ExitCode::SUCCESS;
    }
    eprintln!("Error: There is no dead task at this place: list them with `dead`.");
    ExitCode::FAILURE
}

fn once(url: &str, queue: &str) -> Result<ExitCode, BrokerError> {
    print!("{}", shown(queue, &Queue::open(url, queue)?.stats()?));
    Ok(ExitCode::SUCCESS)
}

/// Shows the queue until Ctrl+C. If the output is not a terminal, shows it once.
fn watch(url: &str, name: &str) -> Result<ExitCode, BrokerError> {
    if !stdout().is_terminal() {
        return once(url, name);
    }
    let queue = Queue::open(url, name)?;
    let mut last = shown(name, &queue.stats()?);
    let line = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        line.set_style(style);
    }
    line.set_message(last.clone());
    loop {
        sleep(PERIOD);
        match queue.stats() {
            Ok(stats) => {
                last = shown(name, &stats);
                line.set_message(last.clone());
            }
            // While the broker is away, its last answer stays below the error.
            Err(error) => {
                let error = visible(&error.to_string());
                line.set_message(format!("{error}\n{last}"));
            }
        }
    }
}

fn shown(queue: &str, stats: &Stats) -> String {
    let mut lines = vec![format!(
        "queue {queue}: {} waiting, {} running, {} done, {} failed, {} cancelled, {} dead",
        stats.waiting,
        stats.held,
        stats.done,
        stats.failed,
        stats.cancelled,
        stats.dead
    )];
    for worker in stats.workers.iter().take(LINES) {
        lines.push(format!(
            "worker {} (process {} on {}, {} processes for tasks), heard of {:.1} s ago",
            worker.name,
            worker.pid,
            worker.host,
            worker.processes,
            worker.silent_for.as_secs_f64()
        ));
    }
    for task in stats.running.iter().take(LINES) {
        let since = task.running_for.map_or_else(
            || "just taken".into(),
            |since| format!("for {:.1} s", since.as_secs_f64()),
        );
        let again = match task.deliveries {
            0 | 1 => String::new(),
            times => format!(", delivery {times}"),
        };
        let place = match (&task.host, task.pid) {
            (Some(host), Some(pid)) => format!("on {host} in process {pid}"),
            _ => format!("at {}", task.worker),
        };
        lines.push(format!(
            "running {} {} {place} {since}{again}",
            task.id, task.task
        ));
    }
    lines.iter().map(|line| visible(line) + "\n").collect()
}

fn list_dead(url: &str, queue: &str) -> Result<ExitCode, BrokerError> {
    for task in Queue::open(url, queue)?.dead(DEAD)? {
        let args: String = task.args.chars().take(60).collect();
        let line = format!("{} {} {args}: {}", task.place, task.task, task.error);
        println!("{}", visible(&line));
    }
    Ok(ExitCode::SUCCESS)
}
