//! Exchanging: V26, V27, N8, T18, T19, D21 to D24 and D26 to D30.

use std::collections::HashSet;
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tutorial::harness::{Finished, listing};

#[test]
fn pipe_duplex_answers() {
    assert_eq!(
        listing!("pipe_duplex").run().success(),
        ["proc2 rec: hello", "proc1 rec: hello, too"]
    );
}

#[test]
fn queue_workers_get_what_ten_others_put() {
    let lines = listing!("queue_workers").run().success();
    let (mut getters, mut putters) = (HashSet::new(), HashSet::new());
    for line in &lines {
        let (getter, info) = line.split_once("(get):").unwrap();
        let (putter, time) = info.split_once("(put):").unwrap();
        assert!(time.parse::<f64>().unwrap() > 1.7e9);
        getters.insert(getter.parse::<u32>().unwrap());
        putters.insert(putter.parse::<u32>().unwrap());
    }
    assert_eq!((lines.len(), getters.len(), putters.len()), (10, 10, 10));
    assert!(getters.is_disjoint(&putters));
}

#[test]
fn queue_read_write_gets_in_the_order_of_putting() {
    let lines = listing!("queue_read_write").tempo(5).run().success();
    let of = |word| -> Vec<_> {
        lines.iter().filter(|line| line.starts_with(word)).collect()
    };
    assert_eq!(
        of("Put"),
        [
            "Put A to queue...",
            "Put B to queue...",
            "Put C to queue..."
        ]
    );
    let got = of("Get");
    // The reader is terminated when the writer has ended, whatever it has got by then.
    assert_eq!(lines.len() - got.len(), 5);
    let expected = [
        "Get A from queue.",
        "Get B from queue.",
        "Get C from queue.",
    ];
    assert_eq!(got, expected[..got.len()]);
    assert_eq!(of("Process to").len(), 2);
}

#[test]
fn a_list_crosses_a_queue_and_a_pipe() {
    let lines = listing!("queue_list").run().success();
    assert_eq!(lines, [r#"[42, None, "hello"]"#]);
    let lines = listing!("pipe_list").run().success();
    assert_eq!(lines, [r#"(42, None, "hello")"#]);
}

#[test]
fn producer_consumer_empty_prints_what_it_saw_and_leaves_the_rest() {
    for _ in 0..20 {
        let mut lines = listing!("producer_consumer_empty").run().success();
        let left = lines.pop().unwrap();
        let left = left.strip_prefix("left in the queue: ").unwrap();
        let left: usize = left.parse().unwrap();
        assert_eq!(lines, ["1", "2", "3", "4", "5"][..5 - left]);
    }
}

#[test]
fn the_other_consumers_see_everything() {
    let one_to_five = ["1", "2", "3", "4", "5"];
    let run = |finished: Finished| finished.success();
    let lines = run(listing!("producer_consumer_sleep").tempo(5).run());
    assert_eq!(lines, one_to_five);
    let lines = run(listing!("producer_consumer_sentinel").run());
    assert_eq!(lines, ["1", "2", "3", "4", "5", "6"]);
    let lines = run(listing!("producer_list").run());
    let expected: Vec<_> = (0..=10).map(|i| i.to_string()).collect();
    assert_eq!(lines, expected);
}

#[test]
fn queue_methods_shows_each_outcome() {
    let lines = listing!("queue_methods").run().success();
    // Each process has its own order; how the two mix is the scheduler's.
    let all = lines.iter().map(String::as_str);
    let (child, parent): (Vec<_>, Vec<_>) =
        all.partition(|line| line.starts_with("child: "));
    assert_eq!(child, ["child: get() -> \"a\"", "child: put(\"d\")"]);
    assert_eq!(
        parent,
        [
            "empty: true, full: false, qsize: 0",
            "empty: false, full: true, qsize: 2",
            "put_nowait(\"c\"): Full",
            "put_timeout(\"c\"): Full",
            "put(\"c\") came in",
            "get() -> \"b\"",
            "get_nowait() -> \"c\"",
            "get_nowait(): Empty",
            "get_timeout(): Empty",
            "get() -> \"d\"",
            "put(\"e\"): the queue is closed",
        ]
    );
}

#[test]
fn joinable_queue_waits_for_the_last_task_and_counts_them() {
    let lines = listing!("joinable_queue").tempo(5).run().success();
    assert_eq!(
        lines,
        [
            "done 1",
            "done 2",
            "done 3",
            "done 4",
            "done 5",
            "all done",
            "task_done() called more often than items were put",
        ]
    );
}

#[test]
fn file_ipc_leaves_no_file() {
    let temp =
        std::env::temp_dir().join(format!("exchanging-{}", std::process::id()));
    fs::create_dir(&temp).unwrap();
    let lines = listing!("file_ipc").env("TMPDIR", &temp).run().success();
    assert_eq!(
        lines,
        ["read: How are you?", "How are you?", "I am fine, thank you"]
    );
    fs::remove_dir(&temp).expect("it is empty");
}

#[test]
fn anonymous_pipe_ends_when_its_writer_does() {
    let run = listing!("anonymous_pipe").start();
    let parent = run.pid();
    let lines = run.finish().success();
    let (child, said) = lines[0].split_once(" read: ").unwrap();
    assert_eq!(said, format!("hello from {parent}"));
    assert_ne!(child, format!("child {parent}"));
    assert_eq!(lines.len(), 1);
}

/// Waits until the process sleeps, which it must soon.
fn asleep(pid: Pid) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // The program's name comes before, in brackets.
        let (_, state) = stat.rsplit_once(") ").unwrap();
        if state.starts_with('S') {
            return;
        }
        assert!(Instant::now() < deadline, "{stat}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn named_pipe_connects_two_runs_and_survives_one_that_was_interrupted() {
    let path = std::env::temp_dir().join(format!("fifo-{}", std::process::id()));
    let mut interrupted = listing!("named_pipe").arg(&path).start();
    interrupted.line_with("waiting at");
    interrupted.signal(Signal::SIGINT);
    assert_eq!(interrupted.finish().signal(), Some(Signal::SIGINT as i32));
    assert!(path.exists());

    let mut first = listing!("named_pipe").arg(&path).start();
    first.line_with("waiting at");
    // It says so before it opens the FIFO: until then the second would wait itself.
    asleep(first.pid());
    let second = listing!("named_pipe").arg(&path).start();
    let writer = second.pid();
    assert!(second.finish().success().is_empty());
    let lines = first.finish().success();
    assert_eq!(lines[1..], [format!("read: hello from {writer}")]);
    assert!(!path.exists());
}
