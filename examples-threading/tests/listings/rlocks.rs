//! The re-entrant lock, and what is lost without: N22, N23, N24.

use tutorial::harness::{a_hundred_runs, listing};

#[test]
fn rlock_nested_is_free_after_as_many_releases_as_acquires() {
    assert_eq!(
        listing!("rlock_nested").run().success(),
        [
            "acquire 1, free for others: false",
            "acquire 2, free for others: false",
            "acquire 3, free for others: false",
            "release 3, free for others: false",
            "release 2, free for others: false",
            "release 1, free for others: true",
        ]
    );
}

#[test]
fn rlock_prints_every_sum_in_turn() {
    for lines in a_hundred_runs(|| listing!("rlock").tempo(20)) {
        assert_eq!(lines, ["30", "60", "90", "120", "150"]);
    }
}

#[test]
fn no_rlock_prints_only_the_last_sum() {
    let lines = listing!("no_rlock").run().success();
    let (sums, rules): (Vec<_>, Vec<_>) =
        lines.iter().partition(|&line| line != "---");
    assert_eq!(sums, ["150"; 5]);
    assert_eq!(rules.len(), 5);
    assert_eq!(lines.last().unwrap(), "---");
}
