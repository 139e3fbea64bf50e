//! Threads that wait for a permit, a flag or a call: T6, T7, T8, T9.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tutorial::harness::{Finished, Listing, Running, listing, sorted};

#[track_caller]
fn ends_by_ctrl_c(running: Running) {
    running.signal(Signal::SIGINT);
    let end = running.finish();
    assert_eq!(end.signal(), Some(Signal::SIGINT as i32), "{end:#?}");
}

#[test]
fn bounded_semaphore_lets_in_at_most_five_of_twenty_at_a_time() {
    let start = Instant::now();
    let mut running = listing!("bounded_semaphore").tempo(10).start();
    let mut ran = Vec::new();
    for n in 0..20 {
        let line = running.line();
        // The sixth cannot end before two pauses are over, the eleventh before three.
        let pauses = n / 5 + 1;
        assert!(
            start.elapsed() >= Duration::from_millis(100) * pauses,
            "{n}"
        );
        ran.push(line);
    }
    ran.push(running.line());
    assert_eq!(
        ran.pop().unwrap(),
        "semaphore released more often than it was acquired"
    );
    let all = (0..20).map(|n| format!("run the thread :{n}")).collect();
    assert_eq!(sorted(ran), sorted(all));
    assert!(running.finish().success().len() == 21);
}

const GREEN: &str = "\x1b[42;1m---green light on ---\x1b[0m";
const YELLOW: &str = "\x1b[43;1m---yellow light on ---\x1b[0m";
const RED: &str = "\x1b[41;1m --red light on -- \x1b[0m";

#[test]
fn traffic_light_stops_the_cars_while_it_is_red() {
    let mut running = listing!("traffic_light").tempo(50).start();
    let (mut stood, mut drove) = (0, 0);
    // From the second round on the light is green a second less: the count starts at
    // 1.
    for greens in [10, 9, 9] {
        let round = [(GREEN, greens), (YELLOW, 3), (RED, 7)];
        for (light, seconds) in round {
            for second in 0..seconds {
                let is_red = light == RED;
                loop {
                    let line = running.line();
                    let car = line.strip_prefix("car [").and_then(|car| {
                        let (n, does) = car.split_once("] is ")?;
                        assert!(n.parse::<u8>().unwrap() < 3, "{line}");
                        Some(does)
                    });
                    // In the first second a car may still have seen the light before.
                    let settled = second >= 2;
                    match car {
                        None => {
                            assert_eq!(line, light);
                            break;
                        }
                        Some("running..") if is_red && settled => {
                            panic!("drives at red")
                        }
                        Some("waiting for the red light..")
                            if !is_red && settled =>
                        {
                            panic!("waits at {light:?}");
                        }
                        Some("running..") => drove += 1,
                        Some("waiting for the red light..") => stood += 1,
                        Some(_) => panic!("{line}"),
                    }
                }
            }
        }
    }
    assert!(stood > 0 && drove > 0);
    ends_by_ctrl_c(running);
}

const CLOSED: &str = "\x1b[31;1m door closed....,swipe to open.\x1b[0m";
const OPENING: &str = "\x1b[32;1m door opening...\x1b[0m";
const PASSING: &str = "\x1b[34;1m door is opened ,passing....\x1b[0m";

fn count(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| *line == text).count()
}

#[test]
fn door_lets_all_five_pass_and_closes_itself() {
    let mut running = listing!("door").tempo(20).start();
    let mut lines = Vec::new();
    while count(&lines, PASSING) < 5 {
        lines.push(running.line());
    }
    while lines.last().unwrap() != CLOSED {
        lines.push(running.line());
    }

    for n in 0..5 {
        assert_eq!(count(&lines, &format!("staff [{n}] is comming...")), 1);
    }
    let swipes = |line: &&String| line.ends_with("swipping the card....");
    let swipes = lines.iter().filter(swipes).count();
    assert_eq!(count(&lines, "None"), swipes);
    assert_eq!(count(&lines, "after set None"), swipes);
    let doors: Vec<_> = lines
        .iter()
        .filter(|line| *line == CLOSED || *line == OPENING)
        .collect();
    for open in doors.split(|line| *line == CLOSED) {
        // It stays open for longer if a card is swiped as it is about to close.
        assert!(open.is_empty() || open.len() >= 4, "{doors:#?}");
    }
    ends_by_ctrl_c(running);
}

const USAGE: &str = "How many threads shall run? A number such as 3, or q to end.";

fn typed(input: &str) -> Listing {
    listing!("condition_notify").input(input)
}

/// The lines without the prompts, which have none of their own.
fn lines(run: Finished) -> Vec<String> {
    let output = run.success().join("\n").replace(">>>>", "");
    let lines = output.lines().filter(|line| !line.is_empty());
    lines.map(String::from).collect()
}

#[test]
fn condition_notify_wakes_the_number_of_threads_that_is_typed() {
    let typed_and_woken = [
        ("0\n", 0),
        ("3\n", 3),
        ("4\n4\n", 8),
        ("7\n7\n", 10),
        ("1\n99999999999\nq\n", 10),
    ];
    for (input, woken) in typed_and_woken {
        let mut ran = sorted(lines(typed(input).run()));
        assert!(ran.iter().all(|line| line.starts_with("run the thread :")));
        assert_eq!(ran.len(), woken, "{ran:#?}");
        ran.dedup();
        assert_eq!(ran.len(), woken, "a thread woke twice");
    }
}

#[test]
fn condition_notify_says_what_it_wants_and_asks_again() {
    let said = lines(typed("three\n-1\n\n2.5\n1\nq\n").run());
    assert_eq!(said[..4], [USAGE; 4]);
    assert_eq!(said.len(), 5);
    assert!(said[4].starts_with("run the thread :"));
}

#[test]
fn condition_notify_ends_at_q_although_threads_wait() {
    assert_eq!(typed("q\n3\n").run().success(), [">>>>"]);
}

#[test]
fn condition_notify_ends_with_its_input() {
    assert_eq!(typed("").run().success(), [">>>>"]);
}

#[test]
fn condition_notify_ends_by_ctrl_c() {
    let mut running = listing!("condition_notify").start();
    running.type_in("x\n");
    running.line_with(USAGE);
    ends_by_ctrl_c(running);
}
