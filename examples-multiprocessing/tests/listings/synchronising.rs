//! Locks, semaphores, events and shared numbers: V28, T20, T22, D25, D31 to D37 and
//! D59.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tutorial::harness::{listing, sorted};

#[test]
fn process_booth_sells_every_ticket_and_each_booth_says_that_there_are_none() {
    let lines = listing!("process_booth").tempo(50).run().success();
    let (sales, refusals) = lines.split_at(100);
    for (line, left) in sales.iter().zip((0..100).rev()) {
        let (booth, rest) = line.split_once(' ').unwrap();
        assert!(booth.parse::<u8>().unwrap() < 10, "{line}");
        assert_eq!(rest, format!(":now left: {left}"));
    }
    let expected: Vec<_> = (0..10)
        .map(|booth| format!("Process_id {booth}  No more tickets"))
        .collect();
    assert_eq!(sorted(refusals.to_vec()), expected);
}

#[test]
fn process_booth_ends_with_all_its_booths_on_ctrl_c() {
    let mut booths = listing!("process_booth").start();
    booths.line();
    booths.signal(Signal::SIGINT);
    let end = booths.finish();
    assert_eq!(end.signal(), Some(Signal::SIGINT as i32));
    assert!(end.errors.is_empty(), "{end:#?}");
}

#[test]
fn value_array_is_negated_twice() {
    let mut expected = vec!["3.333333333333333".to_string()];
    expected.extend((0..11).map(|i| i.to_string()));
    assert_eq!(listing!("value_array").run().success(), expected);
}

#[test]
fn process_lock_keeps_ten_lines_whole() {
    let expected: Vec<_> = (0..10).map(|i| format!("hello world {i}")).collect();
    let lines = listing!("process_lock").run().success();
    assert_eq!(sorted(lines), expected);
}

#[test]
fn bank_account_is_as_full_as_before() {
    let lines = listing!("bank").run().success();
    assert_eq!(
        (lines.len(), &*lines[0], &*lines[16]),
        (17, "10000", "10000")
    );
    let mut balance = 10000;
    for line in &lines[1..16] {
        balance += if line.starts_with('A') { -100 } else { 200 };
        assert!(
            line.ends_with(&format!(": {balance}")),
            "{line}, not {balance}"
        );
    }
}

#[test]
fn money_lock_loses_nothing() {
    for _ in 0..5 {
        assert_eq!(listing!("money_lock").run().success(), ["200000"]);
    }
}

#[test]
fn money_rlock_does_not_wait_for_itself() {
    assert_eq!(listing!("money_rlock").run().success(), ["4"]);
}

/// The largest number of processes that are inside at a time, as the lines report it.
fn most_at_a_time(lines: &[String], enters: &str, leaves: &str) -> usize {
    let (mut inside, mut most) = (BTreeSet::new(), 0);
    for line in lines {
        if let Some(name) = line.strip_suffix(enters) {
            assert!(inside.insert(name), "{name} is in already");
        } else if let Some(name) = line.strip_suffix(leaves) {
            assert!(inside.remove(name), "{name} is not in");
        }
        most = most.max(inside.len());
    }
    assert!(inside.is_empty(), "{inside:?} stay for ever");
    most
}

#[test]
fn semaphore_lets_five_consumers_in_two_at_a_time() {
    let start = Instant::now();
    let lines = listing!("semaphore").tempo(5).run().success();
    // Two at a time are three rounds of a second. The lines cannot prove it: a release
    // is printed after the fact.
    assert!(start.elapsed() >= Duration::from_secs(3) / 5);
    assert_eq!(lines.len(), 11);
    assert!(lines.iter().any(|line| line == "Main End"));
    assert!(most_at_a_time(&lines, "get", "release") >= 2, "{lines:#?}");
}

#[test]
fn at_most_three_cars_park_at_a_time() {
    let lines = listing!("parking_lot").tempo(5).run().success();
    assert_eq!((lines.len(), &*lines[10]), (11, "3 spaces"));
    assert_eq!(most_at_a_time(&lines, " parks", " leaves"), 3);
}

#[test]
fn event_wakes_every_reader_after_it_is_set() {
    let lines = listing!("event").tempo(2).run().success();
    let mut of: HashMap<_, Vec<_>> = HashMap::new();
    for line in &lines {
        let (name, said) = line.split_once(": ").unwrap();
        of.entry(name).or_default().push(said);
    }
    assert_eq!(of["block"], ["wait, is_set false", "42"]);
    assert_eq!(of["block too"], ["wait, is_set false", "42"]);
    assert_eq!(of["nonblock"], ["wait, is_set false", "nothing yet", "42"]);
    assert_eq!(of["main"], ["set", "is_set false"]);
    let set = lines.iter().position(|line| line == "main: set").unwrap();
    let read = lines
        .iter()
        .position(|line| line.ends_with(": 42"))
        .unwrap();
    assert!(set < read, "the cause comes before its effect: {lines:#?}");
}

#[test]
fn array_access_walks_zeroes_and_then_0_to_9() {
    let lines = listing!("array_access").run().success();
    assert_eq!(lines.len(), 23);
    assert_eq!(lines[0], "test share memory:");
    assert!(lines[1..11].iter().all(|line| line == "0"));
    for time in [&lines[11], &lines[22]] {
        assert!(
            time.starts_with("消耗了 0:00:0") && time.len() > 20,
            "{time}"
        );
    }
    let walked: Vec<usize> = lines[12..22]
        .iter()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(walked, (0..10).collect::<Vec<_>>());
}

#[test]
fn sync_objects_refuse_what_they_must() {
    let expected = "\
Lock, taken: None
Lock, with a timeout: None
Lock, release elsewhere: Ok(())
Lock, acquire now: Some(Clean)
Lock, release again: Err(NotLocked)
Lock, in its guard's scope: None
Lock, after it: true
RLock, again: Some(Clean)
RLock, acquire elsewhere: None
RLock, release elsewhere: Err(NotOwner)
RLock, once too often: Err(NotOwner)
RLock, after two guards: Some(Clean)
Semaphore, none left: false
Semaphore, more than at first: 2
Semaphore, beside a permit: 1
BoundedSemaphore, one too many: Err(ReleasedTooOften)
Condition, without its lock: Err(NotOwner)
Condition, nobody notifies: Ok(false)
Condition, notified: Ok(())
Event, nobody sets it: false
Event, set elsewhere: true
Barrier, nobody comes: Err(BarrierBroken)
Barrier, broken: true
Barrier, both come: true
Barrier, aborted: Err(BarrierBroken)";
    let lines = listing!("sync_objects").run().success();
    assert_eq!(lines, expected.lines().collect::<Vec<_>>());
}

#[test]
fn only_a_lock_that_is_held_for_both_steps_loses_no_update() {
    let lines = listing!("value_not_atomic").run().success();
    let count = |line: &str, name: &str| -> u32 {
        line.strip_prefix(name).unwrap().parse().unwrap()
    };
    assert_eq!(lines[0], "2 * 1000000 times += 1");
    assert!(count(&lines[1], "Value: ") < 2_000_000, "{lines:#?}");
    assert_eq!(count(&lines[2], "Value, under its lock: "), 2_000_000);
    assert!(count(&lines[3], "RawValue: ") < 2_000_000, "{lines:#?}");
    assert_eq!(lines[4..], ["Array: [0, 0, 0] and [1, 2, 3]"]);
}
