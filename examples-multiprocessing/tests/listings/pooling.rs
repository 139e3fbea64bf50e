//! Pools: N5, T23, D51 to D56, D58 and D61.

use std::collections::HashSet;
use std::{env, fs};

use nix::sys::signal::Signal;
use tutorial::harness::{listing, sorted, unique};

#[test]
fn the_fifth_task_waits_for_a_worker() {
    let lines = listing!("pool").tempo(20).run().success();
    let begins = |text: &str| lines.iter().filter(|l| l.starts_with(text)).count();
    assert!(lines[0].starts_with("Parent Process is "));
    assert_eq!(lines.last().unwrap(), "All subprocesses done");
    assert_eq!((begins("Run task "), begins("Task ")), (5, 5));
    assert_eq!(begins("Waiting for all subprocess done"), 1);
    let pids: HashSet<&str> = lines
        .iter()
        .filter_map(|line| line.split(['(', ')']).nth(1))
        .collect();
    assert!(pids.len() <= 4);
    // A worker that is free is one whose task has ended.
    let mut running = 0;
    for line in &lines {
        running += i32::from(line.starts_with("Run task "));
        running -= i32::from(line.starts_with("Task "));
        assert!((0..=4).contains(&running), "{lines:#?}");
    }
}

#[test]
fn a_hundred_callbacks_come_before_the_end() {
    let lines = listing!("pool_callback").tempo(5).run().success();
    assert_eq!(lines[0], "end");
    let expected: Vec<_> =
        (100..200).map(|n| format!("--->exec done {n}")).collect();
    assert_eq!(sorted(lines[1..].to_vec()), expected);
}

/// The tasks' lines, and the seconds that the listing prints at its end.
fn timed(lines: &[String]) -> (&[String], f64) {
    let (seconds, lines) = lines.split_last().unwrap();
    (lines, seconds.parse().unwrap())
}

#[test]
fn blocking_calls_come_one_after_the_other() {
    let lines = listing!("pool_apply").tempo(30).run().success();
    let (lines, seconds) = timed(&lines);
    let tasks = (0..4)
        .flat_map(|n| [format!("Pool: apply {n}"), format!("Pool: apply {n} end")]);
    let ends = ["for end", "Main end"].map(String::from);
    assert_eq!(lines, tasks.chain(ends).collect::<Vec<_>>());
    assert!(seconds >= 12.0 / 30.0);
}

#[test]
fn calls_that_do_not_block_run_three_at_a_time() {
    let lines = listing!("pool_apply_async").tempo(5).run().success();
    let (lines, seconds) = timed(&lines);
    assert_eq!(lines.len(), 10);
    assert!(lines.contains(&"for end".to_string()));
    assert_eq!(lines.last().unwrap(), "Main end");
    let of_tasks = lines.iter().filter(|l| l.starts_with("Pool: "));
    let ends: Vec<_> = of_tasks.map(|l| l.ends_with(" end")).collect();
    assert_eq!((ends.len(), &ends[..3]), (8, &[false; 3][..]));
    assert!(seconds >= 6.0 / 5.0, "{seconds}");
}

#[test]
fn a_pool_finds_the_sums_that_one_process_finds() {
    let lines = listing!("pool_map").run().success();
    assert_eq!([&lines[0], &lines[2]], ["333833500"; 2]);
    for (line, begin) in
        [(&lines[1], "进程池花费了 "), (&lines[3], "单个进程花费了 ")]
    {
        let seconds = line.strip_prefix(begin).unwrap();
        assert!(seconds.parse::<f64>().unwrap() > 0.0);
        assert_eq!(seconds.split('.').nth(1).unwrap().len(), 6);
    }
}

#[test]
fn a_pool_that_is_not_waited_for_finishes_nothing() {
    let lines = listing!("pool_callback_no_wait").run().success();
    assert!(lines.contains(&"Main end".to_string()));
    assert!(!lines.iter().any(|l| l.ends_with(" end") && l != "Main end"));
    assert!(!lines.contains(&"callback".to_string()));
    assert!(
        lines
            .iter()
            .any(|l| l.parse::<f64>().is_ok_and(|s| s < 3.0))
    );
}

#[test]
fn a_schedule_shows_every_task_once() {
    let svg = env::temp_dir().join(unique("schedule") + ".svg");
    let lines = listing!("pool_schedule")
        .tempo(20)
        .arg(&svg)
        .run()
        .success();
    let charts = ["apply, ", "apply_async, ", "map, chunksize 2, "];
    for (lines, chart) in lines.chunks(4).zip(charts) {
        assert!(lines[0].starts_with(chart), "{lines:#?}");
        for (worker, row) in (1..).zip(&lines[1..]) {
            let name = format!("ForkPoolWorker-{worker} |");
            assert!(row.starts_with(&name), "an idle one has a row: {lines:#?}");
        }
    }
    assert_eq!(lines[12..], [format!("written to {}", svg.display())]);
    let idle = lines[9..12].iter().filter(|row| {
        let (_, bars) = row.split_once('|').unwrap();
        bars.trim_matches(['|', ' ']).is_empty()
    });
    assert!(
        idle.count() >= 1,
        "two pieces for three workers: {lines:#?}"
    );
    let file = svg.display().to_string();
    let svg = fs::read_to_string(&svg).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    for task in 0..4 {
        let label = format!(">{task}</text>");
        assert_eq!(svg.matches(&label).count(), 3, "{task} of three charts");
    }
    let unwritable = listing!("pool_schedule")
        .tempo(50)
        .arg("/no/such/folder")
        .run();
    assert_eq!(unwritable.status.code(), Some(1));
    assert_eq!(unwritable.errors.len(), 1, "{unwritable:#?}");
    let error = &unwritable.errors[0];
    assert!(error.starts_with("Error: /no/such/folder: "), "{error}");
}

#[test]
fn every_option_and_every_end_is_shown() {
    let lines = listing!("pool_options").tempo(20).run().success();
    assert!(
        lines[0].starts_with("processes, by default: "),
        "{lines:#?}"
    );
    let find = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    // The third worker, in the place of the killed one, may find the pool closed.
    let greetings = find("hello from ForkPoolWorker-");
    assert!((2..=3).contains(&greetings), "{lines:#?}");
    for line in [
        "divide(7, 2) = 3",
        "divide(7, 0): attempt to divide by zero",
        "kill_oneself(): the worker was ended by SIGKILL",
        "callback: 3",
        "error callback: no value",
        "join before close: The pool is still running: close or terminate it before \
         joining it.",
        "after close: the pool is closed: submit tasks before closing it",
        "12 items, 4 chunks, 2 workers",
        "after terminate: the pool was terminated before the task had ended",
    ] {
        assert!(lines.contains(&line.to_string()), "{line}: {lines:#?}");
    }
}

#[test]
fn a_managed_queue_is_a_tasks_argument_and_a_plain_one_is_refused() {
    let lines = listing!("manager_queue_pool").tempo(10).run().success();
    let (refusal, lines) = lines.split_last().unwrap();
    let lines = sorted(lines.to_vec());
    assert_eq!(lines.len(), 6, "{lines:#?}");
    for (n, line) in lines.iter().enumerate() {
        assert!(
            line.starts_with(&format!("{n} from ForkPoolWorker-")),
            "{line}"
        );
    }
    assert_eq!(
        refusal,
        "the task's argument is refused: the value cannot be encoded: a lock, queue or \
         pipe can only be sent in the argument of a process that is being spawned or of a \
         pool's initializer, not in a message, a task or a file"
    );
}

#[test]
fn ctrl_c_ends_a_pool_and_its_tasks() {
    for listing in [listing!("pool_apply"), listing!("pool_apply_async")] {
        let mut run = listing.start();
        run.line_with("Pool: ");
        run.signal(Signal::SIGINT);
        let run = run.finish();
        assert_eq!(run.signal(), Some(Signal::SIGINT as i32));
        assert_eq!(run.errors, [""; 0]);
    }
}

#[test]
fn a_result_is_waited_for_looked_at_and_reported() {
    let mut lines = listing!("pool_result").tempo(5).run().success();
    lines.retain(|line| line != "not ready");
    assert_eq!(
        lines[..6],
        [
            "get: 100",
            "successful: None",
            "ready, successful: Some(true)",
            "successful: None",
            "ready, successful: Some(false)",
            "main does something else",
        ]
    );
    let callbacks = sorted(lines[6..].to_vec());
    assert_eq!((callbacks.len(), &*callbacks[0]), (2, "callback: 25"));
    let error = "error callback: the task panicked: attempt to divide by zero";
    assert!(callbacks[1].starts_with(error), "{callbacks:#?}");
}
