//! Processes: V25, N1 to N4, T16, T17, D1 to D15, D17 to D20 and D60.

use std::collections::HashSet;

use nix::sys::signal::{Signal, kill};
use tutorial::harness::{Running, listing};

/// The numbers in a line.
fn numbers(line: &str) -> Vec<i32> {
    line.split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn number(line: &str) -> i32 {
    numbers(line)[0]
}

/// Whether this is a line of `time.ctime()` after these words.
fn is_time(line: &str, prefix: &str) -> bool {
    line.strip_prefix(prefix).is_some_and(|time| {
        time.len() == 24 && numbers(time).len() == 5 && time.as_bytes()[13] == b':'
    })
}

#[test]
fn thread_vs_process_prints_one_id_for_threads_and_five_for_processes() {
    let lines = listing!("thread_vs_process").run().success();
    let main = number(lines[0].strip_prefix("Main: ").unwrap());
    assert_eq!(lines[1..6], vec![format!("thread {main}"); 5]);
    let mut processes = HashSet::from([main]);
    for line in &lines[6..] {
        processes.insert(number(line.strip_prefix("process ").unwrap()));
    }
    assert_eq!((lines.len(), processes.len()), (11, 6));
}

#[test]
fn fork_returns_twice() {
    let run = listing!("fork").start();
    let pid = run.pid().as_raw();
    let lines = run.finish().success();
    assert_eq!(lines[0], format!("Process ({pid}) start..."));
    let of_parent = lines.iter().find(|line| line.starts_with("I (")).unwrap();
    let child = numbers(of_parent)[1];
    assert_eq!(
        *of_parent,
        format!("I ({pid}) just created a child process ({child}).")
    );
    let of_child = format!("I am child process ({child}) and my parent is ");
    assert!(lines[1..].iter().any(|line| line.starts_with(&of_child)));
    assert_eq!(lines.len(), 3);
}

#[test]
fn run_proc_waits_for_its_child() {
    let run = listing!("run_proc").start();
    let pid = run.pid();
    let lines = run.finish().success();
    let child = number(&lines[2]);
    assert_eq!(
        lines,
        [
            format!("Parent process {pid}."),
            "Child process will start".into(),
            format!("Run child process test ({child})..."),
            "Child process end.".into(),
        ]
    );
}

#[test]
fn both_children_report_the_same_parent_id() {
    let run = listing!("two_processes").start();
    let father = run.pid().as_raw();
    let lines = run.finish().success();
    let of = |who: &str| {
        let line = lines.iter().find(|line| line.starts_with(who));
        numbers(line.unwrap())
    };
    assert_eq!(of("son:")[0], father);
    let (one, two) = (of("son_one:"), of("son_two:"));
    assert_eq!((one[1], two[1]), (father, father));
    assert_ne!(one[0], two[0]);
    for line in ["This is son_one", "This is son_two"] {
        assert!(lines.iter().any(|printed| printed == line));
    }
    assert_eq!(lines.len(), 5);
}

#[test]
fn join_between_keeps_jack_before_mick() {
    let lines = listing!("join_between").tempo(5).run().success();
    assert_eq!(lines[..2], ["My name is Jack", "This is func_one"]);
    let mut either = lines[2..4].to_vec();
    either.sort();
    assert_eq!(either, ["I am main process", "My name is Mick"]);
    assert_eq!(lines[4..], ["This is func_two"]);
}

#[test]
fn hello_is_red() {
    let lines = listing!("hello").tempo(20).run().success();
    assert_eq!(lines, ["\x1b[31;1m hello 陈鑫\x1b[0m"]);
}

#[test]
fn info_is_printed_once_by_the_child() {
    let run = listing!("info").start();
    let main = run.pid();
    let lines = run.finish().success();
    assert_eq!(lines[0], "\x1b[31;1m main Process line \x1b[0m");
    assert_eq!(lines[1], "module name: info");
    assert_eq!(lines[2], format!("parent process: {main}"));
    let child = number(lines[3].strip_prefix("process id: ").unwrap());
    assert_ne!(child, main.as_raw());
    assert_eq!(lines[4..], ["", "", "", "hello bob"]);
}

#[test]
fn child_and_main_both_print() {
    let lines =
        tutorial::harness::sorted(listing!("child_and_main").run().success());
    assert_eq!(lines, ["child process", "main process"]);
}

#[test]
fn child_first_when_main_sleeps() {
    let lines = listing!("child_first").run().success();
    assert_eq!(lines, ["child process", "main process"]);
}

/// Presses Ctrl+C, and insists that everybody ends by it and says nothing.
fn interrupt(run: Running) -> Vec<String> {
    run.signal(Signal::SIGINT);
    let run = run.finish();
    assert_eq!(run.signal(), Some(Signal::SIGINT as i32), "{run:#?}");
    assert_eq!(run.errors, [""; 0]);
    run.lines
}

#[test]
fn two_clocks_tick_until_they_are_interrupted() {
    let mut run = listing!("two_clocks").tempo(20).start();
    run.line_with("main process");
    for _ in 0..3 {
        assert!(is_time(&run.line_with("main "), "main "));
        assert!(is_time(&run.line_with("child "), "child "));
    }
    interrupt(run);
}

#[test]
fn reimport_prints_the_lines_outside_the_guard_twice() {
    let mut run = listing!("reimport").tempo(5).start();
    let outside = ["who are you", "!!!!!!"];
    assert_eq!([run.line(), run.line()], outside);
    let mut next: Vec<_> = (0..3).map(|_| run.line()).collect();
    let main = next.iter().position(|line| line == "main process").unwrap();
    next.remove(main);
    assert_eq!(next, outside);
    assert!(is_time(&run.line(), ""));
    assert_eq!(run.line(), "child process");
    interrupt(run);
}

#[test]
fn global_not_shared_counts_apart() {
    let mut run = listing!("global_not_shared").tempo(20).start();
    for i in 1..=3 {
        // Each process's own lines come in order.
        run.line_with(&format!("Current num is {}", 100 + i));
    }
    interrupt(run);
    let mut run = listing!("global_not_shared").tempo(20).start();
    for i in 1..=3 {
        run.line_with(&format!("in child num is {}", 100 + 100 * i));
    }
    interrupt(run);
}

#[test]
fn fork_checked_prints_both_ids_in_parent_and_child() {
    let run = listing!("fork_checked").start();
    let parent = run.pid();
    let lines = tutorial::harness::sorted(run.finish().success());
    let child = number(&lines[0]);
    assert_eq!(lines[1], format!("parent id {parent}, child id {child}"));
    assert!(lines[0].starts_with(&format!("child id {child}, parent id ")));
}

#[test]
fn parent_waits_for_its_child() {
    let lines = listing!("parent_waits").tempo(20).run().success();
    assert_eq!(lines.len(), 6);
    assert!(lines.iter().any(|line| line == "main process"));
    let times = lines.iter().filter(|line| is_time(line, "child ")).count();
    assert_eq!(times, 5);
}

#[test]
fn orphan_has_another_parent() {
    let run = listing!("orphan").start();
    let parent = run.pid().as_raw();
    let lines = run.finish().success();
    let ids = numbers(&lines[0]);
    assert_eq!(lines[0], format!("parent id {parent}, child id {}", ids[1]));
    let child = numbers(&lines[1]);
    assert_eq!(child[0], ids[1]);
    assert_ne!(child[1], parent);
}

#[test]
fn zombie_until_it_is_waited_for() {
    let lines = listing!("zombie").tempo(20).run().success();
    assert!(
        lines[0].ends_with("not waited for: State:\tZ (zombie)"),
        "{lines:#?}"
    );
    assert_eq!(lines[1], "a second later: State:\tZ (zombie)");
    assert_eq!(lines[2], "waited for: no such process");
}

#[test]
fn daemon_process_ends_with_main() {
    let lines = listing!("daemon_process").run().success();
    assert_eq!(lines, ["main", "main process"]);
}

#[test]
fn daemon_too_late_is_an_error_and_the_child_still_runs() {
    let run = listing!("daemon_too_late").env("RUST_BACKTRACE", "0");
    let run = run.tempo(20).run();
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(
        run.errors,
        ["Error: The process has already been started: \
          say that it is a daemon before."]
    );
    assert_eq!(run.lines.len(), 5);
    assert!(run.lines.iter().all(|line| is_time(line, "child ")));
}

#[test]
fn eye_rest_reminds_and_ends_by_ctrl_c() {
    for (listing, interval, name) in [
        (listing!("eye_rest"), 27_000, "Process-1"),
        (listing!("eye_rest_class"), 3600, "MyTimer"),
    ] {
        let mut run = listing.tempo(interval * 20).start();
        let pid = run.pid().as_raw();
        assert_eq!(run.line(), "you are tired, you need some time to relax");
        for _ in 0..3 {
            assert!(is_time(&run.line(), "Now this is "));
            let line = run.line();
            let reminder = "No more coding, rest your eyes (";
            let who = line.strip_prefix(reminder).unwrap();
            assert!(who.ends_with(&format!(", {name})")), "{who}");
            assert_ne!(number(who), pid);
        }
        interrupt(run);
    }
}

#[test]
fn main_guard_runs_the_second_line_as_a_program_only() {
    assert_eq!(
        listing!("main_guard").run().success(),
        [
            "> python test.py",
            "I'm the first.",
            "__main__",
            "I'm the second.",
            "> python import_test.py",
            "I'm the first.",
            "test",
        ]
    );
}

#[test]
fn daemon_join_waits_for_the_daemon() {
    let lines = listing!("daemon_join").tempo(20).run().success();
    assert!(lines[..5].iter().all(|line| is_time(line, "child ")));
    assert_eq!(lines[5..], ["main process"]);
}

#[test]
fn process_states_are_named_with_what_led_to_them() {
    assert_eq!(
        listing!("process_states").run().success(),
        [
            "Process(): 新建: pid None",
            "start(): 就绪, 执行: R (running)",
            "it waits for a message: 阻塞: S (sleeping)",
            "SIGSTOP: none of the five: T (stopped)",
            "SIGCONT: 阻塞: S (sleeping)",
            "terminate(): 终止: Z (zombie)",
            "join(): exitcode Some(-15)",
        ]
    );
}

#[test]
fn process_attributes_before_while_and_after() {
    let lines = listing!("process_attributes").run().success();
    let (pid, jack) = (number(&lines[7]), number(&lines[22]));
    let expected = format!(
        "\
name: Process-1  daemon: false
pid: None  ident: None
is_alive: false  exitcode: None
sentinel: false
authkey: AuthKey(..)  inherited: true
join before start: The process has not been started yet: call start first.
name: Process-1  daemon: false
pid: Some({pid})  ident: Some({pid})
is_alive: true  exitcode: None
sentinel: true
authkey: AuthKey(..)  inherited: true
start twice: The process has already been started: make a new one for every start.
join oneself: A process cannot join itself: it would wait for ever.
close early: The process is still running: join or terminate it before closing it.
join(0.2): false
exitcode: None
name: Process-1  daemon: false
pid: Some({pid})  ident: Some({pid})
is_alive: false  exitcode: Some(0)
sentinel: true
authkey: AuthKey(..)  inherited: true
name: Jack  daemon: true
pid: Some({jack})  ident: Some({jack})
is_alive: false  exitcode: Some(-15)
sentinel: true
authkey: AuthKey(..)  inherited: true
join after close: The process was closed: ask for what you need before closing it.
name: Process-3:1  daemon: true
a daemon's child: A daemon cannot have children: start them from its parent."
    );
    assert_eq!(lines, expected.lines().collect::<Vec<_>>());
}

#[test]
fn debug_and_display_show_what_was_written_for_them() {
    assert_eq!(
        listing!("debug_and_display").run().success(),
        [
            "Test { data: \"hello, world!\" }",
            "TestRepr(hello, world!)",
            "TestRepr(hello, world!)",
            "TestStr { data: \"hello, world!\" }",
            "[Value: hello, world!]",
        ]
    );
}

#[test]
fn override_overload_picks_the_body_by_type() {
    assert_eq!(
        listing!("override_overload").run().success(),
        [
            "Fish says nothing",
            "Dog says woof",
            "an integer: 1",
            "an integer and a float: 1, 2.5",
            "a float and an integer: 2.5, 1",
            "a a",
            "1 1",
        ]
    );
}

#[test]
fn a_killed_or_terminated_parent_takes_its_child_along() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        for listing in [listing!("two_clocks"), listing!("reimport")] {
            let mut run = listing.tempo(20).start();
            run.line_with("main process");
            kill(run.pid(), signal).unwrap();
            // Reads to the end of the output, which a child left over would hold open.
            let run = run.finish();
            assert_eq!(run.signal(), Some(signal as i32), "{run:#?}");
        }
    }
}

#[test]
fn compute_or_wait_times_six_runs_and_waiting_gains_by_threads_and_processes() {
    let lines = listing!("compute_or_wait").run().success();
    let seconds = |line: &str, way: &str| -> f64 {
        let time = line.strip_prefix(way).unwrap().strip_prefix(": ").unwrap();
        time.strip_suffix(" s").unwrap().parse().unwrap()
    };
    for (task, lines) in ["compute", "wait"].into_iter().zip(lines.chunks(4)) {
        assert_eq!(lines[0], task);
        let one = seconds(&lines[1], "one after the other");
        let threads = seconds(&lines[2], "threads");
        let processes = seconds(&lines[3], "processes");
        assert!(one > 0.0 && threads > 0.0 && processes > 0.0, "{lines:#?}");
        if task == "wait" {
            assert!(
                one >= 2.0 && threads >= 0.5 && processes >= 0.5,
                "{lines:#?}"
            );
            assert!(threads < one && processes < one, "{lines:#?}");
        }
    }
    assert_eq!(lines.len(), 8);
}
