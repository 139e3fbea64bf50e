//! Threads, started by hand, by a timer and by a pool: T1, T2, T3, T10, T14, T24.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tutorial::harness::{listing, sorted};

#[test]
fn show_lets_the_main_thread_be_done_first() {
    let mut lines = listing!("show").tempo(5).run().success();
    assert_eq!(lines.remove(0), "main thread stop");
    let all: Vec<_> = (0..10).map(|i| format!("threading {i}")).collect();
    assert_eq!(sorted(lines), all);
}

#[test]
fn my_thread_runs_two_to_their_end() {
    let start = Instant::now();
    let lines = listing!("my_thread").tempo(20).run().success();
    assert_eq!(
        sorted(lines),
        ["running on number:1", "running on number:2"]
    );
    assert!(start.elapsed() >= Duration::from_secs(3) / 20);
}

#[test]
fn join_daemon_leaves_its_threads_behind() {
    let start = Instant::now();
    let mut lines = listing!("join_daemon").tempo(2).run().success();
    assert!(start.elapsed() >= Duration::from_secs(2) / 2);
    let first_second = [
        "[0]---running---",
        "",
        "starting thread Thread-2",
        "[1]---running---",
        "",
    ];
    assert_eq!(lines[..5], first_second);

    // The main thread waits for two seconds, and all of it would take six. How far the
    // others come in the meantime depends on the scheduler.
    let done = lines
        .iter()
        .position(|line| line == "---main thread done----");
    lines.remove(done.unwrap());
    for n in 0..4 {
        let running = format!("[{n}]---running---");
        assert!(lines.iter().filter(|line| **line == running).count() <= 1);
    }
    assert!(
        !lines.contains(&"starting thread Thread-6".into()),
        "{lines:#?}"
    );
}

#[test]
fn timer_fires_after_its_time_unless_cancelled() {
    let start = Instant::now();
    let lines = listing!("timer").tempo(20).run().success();
    assert_eq!(lines, ["one timer cancelled", "hello,world"]);
    assert!(start.elapsed() >= Duration::from_secs(10) / 20);
}

#[test]
fn thread_pool_does_twenty_tasks_on_five_threads() {
    let start = Instant::now();
    let lines = listing!("thread_pool").tempo(20).run().success();
    assert!(start.elapsed() >= Duration::from_secs(4) / 20);

    let (results, tasks): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|line| line.starts_with("result "));
    let in_order: Vec<_> = (0..20).map(|i| format!("result {}", i * i)).collect();
    assert_eq!(results, in_order);

    let (workers, tasks): (HashSet<_>, HashSet<_>) = tasks
        .iter()
        .map(|line| line.split_once(": task ").unwrap())
        .unzip();
    assert_eq!((workers.len(), tasks.len()), (5, 20));
}

#[test]
fn thread_attributes_follows_a_thread_from_before_its_start_to_its_end() {
    let start = Instant::now();
    // At the tutorial's own tempo: a slow machine has a second to look at the thread
    // while it is alive.
    let mut lines = listing!("thread_attributes").run().success();
    assert!(start.elapsed() >= Duration::from_secs(2));
    lines[3..5].sort();
    let (ident, _) = lines[1]
        .strip_prefix("while: name Some(\"LoopThread\"), ident ")
        .and_then(|rest| rest.split_once(", "))
        .unwrap();
    let named = format!("name Some(\"LoopThread\"), ident {ident}");
    assert_eq!(
        lines,
        [
            "before: name LoopThread".into(),
            format!("while: {named}, is_alive true"),
            "join(1.0): is_alive true".into(),
            "join() by another thread: it has ended".into(),
            "join() by one thread: it has ended".into(),
            format!("after: {named}, is_alive false"),
            "no name given: None".into(),
            "join oneself: refused".into(),
            "daemon: left behind".into(),
        ]
    );
}
