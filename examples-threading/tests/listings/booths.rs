//! The ticket booths: V17, V18.

use tutorial::harness::{Finished, listing};

fn sells_every_ticket_and_refuses_once(run: Finished) {
    let lines = run.success();
    for (line, left) in lines.iter().zip((0..100).rev()) {
        let (booth, rest) = line.split_once(' ').unwrap();
        assert!(booth.parse::<u8>().unwrap() < 10, "{line}");
        assert_eq!(rest, format!(":now left: {left}"));
    }
    assert_eq!(lines.len(), 101);
    let refusal = lines[100].strip_prefix("Thread_id ").unwrap();
    let booth = refusal.strip_suffix("  No more tickets").unwrap();
    assert!(booth.parse::<u8>().unwrap() < 10, "{refusal}");
}

#[test]
fn booth_sells_every_ticket_and_refuses_once() {
    sells_every_ticket_and_refuses_once(listing!("booth").tempo(50).run());
}

#[test]
fn booth_does_so_at_any_tempo() {
    for tempo in [1_000, 100_000, 1_000_000_000] {
        sells_every_ticket_and_refuses_once(listing!("booth").tempo(tempo).run());
    }
}

#[test]
fn booth_thread_sells_every_ticket_and_refuses_once() {
    sells_every_ticket_and_refuses_once(listing!("booth_thread").tempo(50).run());
}
