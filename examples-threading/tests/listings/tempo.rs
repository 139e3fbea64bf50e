//! The environment variable `TEMPO`.

use std::time::{Duration, Instant};

use tutorial::harness::listing;

#[test]
fn a_wrong_tempo_is_reported_before_anything_is_printed() {
    for tempo in ["fast", "0", "-3", "inf", "nan"] {
        let run = listing!("booth").env("TEMPO", tempo).run();
        assert_eq!(run.status.code(), Some(2), "{run:#?}");
        let sentence =
            format!("TEMPO must be a positive number such as 20, not {tempo}.");
        assert_eq!(run.errors, [sentence]);
        assert_eq!(run.lines, [""; 0]);
    }
}

#[test]
fn an_empty_tempo_counts_as_unset() {
    let run = listing!("local_variable").env("TEMPO", "").run();
    assert_eq!(run.success().len(), 2);
}

#[test]
fn without_a_tempo_a_second_is_a_second() {
    let start = Instant::now();
    listing!("dialogue").run().success();
    assert!(start.elapsed() >= Duration::from_secs(2));
}
