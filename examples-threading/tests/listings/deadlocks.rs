//! Deadlocks, and the ways around them: D40, D41, D42.

use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tutorial::harness::{listing, sorted};

#[test]
fn deadlock_is_noticed_and_ends_the_program() {
    for tempo in [1, 20, 1_000_000_000] {
        let mut lines = listing!("deadlock").tempo(tempo).run().success();
        let last = lines.pop().unwrap();
        assert_eq!(last, "Deadlock: 2 threads wait for each other");
        assert_eq!(
            sorted(lines),
            [
                "A holds r1",
                "A waits for the other",
                "B holds r2",
                "B waits for the other",
            ]
        );
    }
}

/// So slow a tempo that the program does not look before this test is over.
#[test]
fn deadlock_really_leaves_both_threads_stuck() {
    let mut run = listing!("deadlock").env("TEMPO", "0.001").start();
    for _ in 0..4 {
        run.line();
    }
    thread::sleep(Duration::from_millis(300));
    let tasks = fs::read_dir(format!("/proc/{}/task", run.pid())).unwrap();
    assert_eq!(tasks.count(), 3, "main and the two that are stuck");
    run.signal(Signal::SIGINT);
    let run = run.finish();
    assert_eq!(run.signal(), Some(Signal::SIGINT as i32));
    assert_eq!(run.lines.len(), 4, "{run:#?}");
}

#[test]
fn deadlock_avoided_pays_whole_and_rolls_back_whole() {
    for _ in 0..5 {
        assert_eq!(
            listing!("deadlock_avoided").run().success(),
            [
                "one at a time: A 3000 B 2000",
                "all or nothing: A 3000 B 2000",
                "fixed order: A 3000 B 2000",
                "time-out: A 3000 B 2000",
                "transfer of 1000: Err(PowerCut): A 3000 B 2000",
                "transfer of 1000: Ok(()): A 2000 B 3000",
            ]
        );
    }
}

#[test]
fn banker_refuses_a_loan_that_fits_and_serves_everybody() {
    assert_eq!(
        listing!("banker").run().success(),
        [
            "in hand: 25",
            "a holds 20 and needs 50 more",
            "b holds 10 and needs 15 more",
            "c holds 15 and needs 10 more",
            "a asks for 20, which is there: not safe",
            "c asks for 5: lent",
            "lend 15 to b, in hand: 5",
            "b pays back 25, in hand: 30",
            "lend 5 to c, in hand: 25",
            "c pays back 25, in hand: 50",
            "lend 50 to a, in hand: 0",
            "a pays back 70, in hand: 70",
        ]
    );
}
