//! The environment variable `TEMPO`.

use std::time::{Duration, Instant};

use tutorial::harness::listing;

#[test]
fn a_wrong_tempo_is_one_plain_sentence() {
    for tempo in ["fast", "", "0", "-3", "inf", "nan"] {
        let run = listing!("booth").env("TEMPO", tempo).run();
        assert_eq!(run.status.code(), Some(2), "{run:#?}");
        let told =
            format!("TEMPO must be a positive number such as 20, not {tempo}.");
        assert_eq!(run.errors, [told]);
    }
}

#[test]
fn without_a_tempo_a_second_is_a_second() {
    let start = Instant::now();
    listing!("dialogue").run().success();
    assert!(start.elapsed() >= Duration::from_secs(2));
}
