//! Exchanging: V26, V27, V29, N8, T18, T19, D21 to D24, D26 to D30, D62 and D64.

use std::collections::HashSet;
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tutorial::harness::{Finished, listing, unique};

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
fn queue_methods_shows_each_outcome_at_any_tempo() {
    // Without pauses to speak of, an item may come as early as it can.
    for tempo in [1, 100_000] {
        let lines = listing!("queue_methods").tempo(tempo).run().success();
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
    let temp = std::env::temp_dir().join(unique("exchanging"));
    fs::create_dir(&temp).unwrap();
    let lines = listing!("file_ipc").env("TMPDIR", &temp).run().success();
    let place = format!("the file is {}/file_ipc-", temp.display());
    assert!(lines[0].starts_with(&place), "{lines:#?}");
    assert_eq!(
        lines[1..],
        [
            "read: How are you?",
            "tell: 13",
            "seek(4), read(3): b'are'",
            "How are you?",
            "I am fine, thank you",
        ]
    );
    fs::remove_dir(&temp).expect("it is empty");
}

#[test]
fn anonymous_pipe_ends_when_its_writer_does() {
    let run = listing!("anonymous_pipe").start();
    let parent = run.pid();
    let lines = run.finish().success();
    let mut readers = Vec::new();
    for (first, rest) in [(&lines[0], &lines[1]), (&lines[2], &lines[3])] {
        let (reader, first) = first.split_once(" read: ").unwrap();
        assert_eq!(first, "hello");
        // What was read once does not come again.
        let writer = rest
            .strip_prefix(&format!("{reader} read:  from "))
            .unwrap();
        readers.extend([reader.to_string(), writer.to_string()]);
    }
    assert_eq!(lines.len(), 4);
    // The parent wrote to its fork, then one process of the library to another.
    assert_eq!(readers.remove(1), parent.to_string());
    readers.sort();
    readers.dedup();
    assert_eq!(readers.len(), 3, "{lines:#?}");
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
    let path = std::env::temp_dir().join(unique("fifo"));
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

#[test]
fn named_pipe_names_what_it_cannot_use() {
    let folder = std::env::temp_dir();
    let file = folder.join(unique("no-fifo"));
    fs::write(&file, "not a FIFO").unwrap();
    let missing = folder.join("no such folder").join("fifo");
    for path in [&file, &missing] {
        let run = listing!("named_pipe").arg(path).run();
        assert_eq!(run.status.code(), Some(1), "{run:#?}");
        let place = format!("Error: {}: ", path.display());
        assert!(run.errors[0].starts_with(&place), "{run:#?}");
        assert_eq!((run.errors.len(), run.lines.len()), (1, 0), "{run:#?}");
    }
    fs::remove_file(file).unwrap();
}

#[test]
fn pipe_one_way_refuses_the_other_direction_and_ends_with_its_sender() {
    let lines = listing!("pipe_one_way").run().success();
    // Then comes what to do instead.
    assert!(
        lines[0].starts_with("conn1.send(): this end of the pipe only receives")
    );
    assert!(lines[1].starts_with("conn2.recv(): this end of the pipe only sends"));
    assert_eq!(
        lines[2..],
        [
            "conn1.recv(): hello",
            "conn1.recv(): hello, too",
            "the last sender is gone",
        ]
    );
}

#[test]
fn a_queue_for_threads_stays_empty_in_the_parent() {
    assert_eq!(
        listing!("thread_queue_in_process").run().success(),
        [
            "child: queue.Queue has 1",
            "child: multiprocessing.Queue has 1",
            "parent: queue.Queue has 0",
            "parent: multiprocessing.Queue has 1",
        ]
    );
}

#[test]
fn a_letter_is_put_only_when_the_one_before_was_got() {
    let mut expected: Vec<_> = (1..=5)
        .flat_map(|letter| [format!("put {letter}"), format!("got {letter}")])
        .collect();
    expected.push("sum 15".into());
    assert_eq!(listing!("mailbox").tempo(5).run().success(), expected);
}
