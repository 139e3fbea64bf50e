//! A wrong `TEMPO` in listings that start processes.

use tutorial::harness::listing;

#[test]
fn a_wrong_tempo_is_reported_once_before_a_process_is_started() {
    // A pool of forked workers, and a program that a spawned child runs again.
    for listing in [listing!("pool"), listing!("reimport")] {
        let run = listing.env("TEMPO", "fast").run();
        assert_eq!(run.status.code(), Some(2), "{run:#?}");
        let sentence = "TEMPO must be a positive number such as 20, not fast.";
        assert_eq!(run.errors, [sentence]);
        assert_eq!(run.lines, [""; 0]);
    }
}
