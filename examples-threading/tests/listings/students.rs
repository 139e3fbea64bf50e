//! What belongs to one thread: its name, its student. N9, N13, N14, N15.

use tutorial::harness::{a_hundred_runs, listing, sorted};

#[test]
fn loop_thread_is_named_and_waited_for() {
    for lines in a_hundred_runs(|| listing!("loop_thread").tempo(50)) {
        assert_eq!(
            lines,
            [
                "thread MainThread is running...",
                "thread LoopThread is running....",
                "thread LoopThread >>> 1",
                "thread LoopThread >>> 2",
                "thread LoopThread >>> 3",
                "thread LoopThread >>> 4",
                "thread LoopThread >>> 5",
                "thread LoopThread ended.",
                "thread MainThread ended.",
            ]
        );
    }
}

#[test]
fn student_argument_is_as_silent_as_its_listing() {
    assert!(listing!("student_argument").run().success().is_empty());
}

#[test]
fn student_registry_finds_each_thread_its_student_and_prints_nothing() {
    for _ in 0..20 {
        assert!(listing!("student_registry").run().success().is_empty());
    }
}

#[test]
fn thread_local_greets_each_student_in_its_own_thread() {
    for _ in 0..20 {
        assert_eq!(
            sorted(listing!("thread_local").run().success()),
            ["Hello, Alice (in Thread-A)", "Hello, Bob (in Thread-B)"]
        );
    }
}
