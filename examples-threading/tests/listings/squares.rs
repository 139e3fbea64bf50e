//! Two threads print squares, at once, in turn, or not at all: N18 to N21.

use tutorial::harness::{Listing, a_hundred_runs, listing};

fn prints_each_threads_squares_in_order(listing: Listing) {
    let lines = listing.run().success();
    let (first, second): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line.len() <= "25:".len());
    assert_eq!(first, ["1:", "4:", "9:", "16:", "25:"]);
    assert_eq!(second, ["256:", "289:", "324:", "361:", "400:"]);
}

#[test]
fn squares_prints_each_threads_squares_in_order() {
    for _ in 0..20 {
        prints_each_threads_squares_in_order(listing!("squares"));
    }
}

#[test]
fn squares_class_prints_each_threads_squares_in_order() {
    for _ in 0..20 {
        prints_each_threads_squares_in_order(listing!("squares_class"));
    }
}

#[test]
fn squares_join_lets_the_second_thread_wait_for_the_first() {
    for lines in a_hundred_runs(|| listing!("squares_join").tempo(20)) {
        assert_eq!(
            lines,
            ["1;", "4;", "9;", "16;", "25;", "256;", "289;", "324;"]
        );
    }
}

#[test]
fn squares_daemon_ends_before_its_threads_print() {
    for lines in a_hundred_runs(|| listing!("squares_daemon")) {
        assert_eq!(lines, ["start....", "end...."]);
    }
}
