//! Ten threads that count: T4, T5.

use tutorial::harness::listing;

fn one_to_ten() -> Vec<String> {
    (1..=10).map(|n| n.to_string()).collect()
}

#[test]
fn counter_no_lock_loses_no_number() {
    let mut lines = listing!("counter_no_lock").tempo(10).run().success();
    assert_eq!(lines.remove(0), "main thread stop");
    lines.sort_by_key(|line| line.parse::<i32>().unwrap());
    assert_eq!(lines, one_to_ten());
}

#[test]
fn counter_rlock_keeps_its_order() {
    let expected = [one_to_ten(), vec!["main threading stop".into()]].concat();
    for _ in 0..100 {
        assert_eq!(listing!("counter_rlock").run().success(), expected);
    }
}
