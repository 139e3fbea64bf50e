//! Two threads change one balance: N10, N11.

use tutorial::harness::listing;

#[test]
fn balance_race_loses_updates() {
    // How often depends on how the scheduler lets the two threads overlap.
    let lost = (0..1000).any(|_| {
        let lines = listing!("balance_race").run().success();
        assert_eq!(lines.len(), 1);
        lines[0].parse::<i32>().unwrap() != 0
    });
    assert!(lost);
}

#[test]
fn balance_lock_loses_none() {
    for _ in 0..30 {
        assert_eq!(listing!("balance_lock").run().success(), ["0"]);
    }
}
