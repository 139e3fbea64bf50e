//! What threads share, what they do not, and what they hand over: D48, D49, D50.

use tutorial::harness::{listing, sorted};

#[test]
fn thread_queue_hands_over_each_number_once_and_ends() {
    let lines = listing!("thread_queue").tempo(20).run().success();
    let numbers = lines.into_iter().map(|line| {
        let (thread, number) = line.split_once(" got ").unwrap();
        assert!(["Thread-1", "Thread-2"].contains(&thread), "{line}");
        number.to_string()
    });
    let expected: Vec<_> = (0..10).map(|i: i32| i.to_string()).collect();
    assert_eq!(sorted(numbers.collect()), expected);
}

#[test]
fn shared_global_is_seen_by_both_threads() {
    assert_eq!(
        listing!("shared_global").tempo(5).run().success(),
        ["in f1 g num is 105", "in f1 g num is 105"]
    );
}

#[test]
fn local_variable_is_each_threads_own() {
    assert_eq!(
        listing!("local_variable").tempo(5).run().success(),
        ["in f1 g num is 101", "in f2 g num is 100"]
    );
}
