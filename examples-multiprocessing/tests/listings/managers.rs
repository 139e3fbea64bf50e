//! Managers, as listings use them: T21 and T25.

use tutorial::harness::listing;

#[test]
fn manager_shares_a_dict_and_a_list_with_ten_processes() {
    let lines = listing!("manager").run().success();
    let list =
        |ones: usize| format!("{:?}", [vec![0, 1, 2, 3, 4], vec![1; ones]].concat());
    // Each process finds its own one at least.
    let lists: Vec<_> = (1..=10).map(list).collect();
    for line in &lines[..10] {
        assert!(lists.contains(line), "{line}");
    }
    assert_eq!(lines[10..], ["{1: 1, 2: 2, 0.25: None}".into(), list(10)]);
}

#[test]
fn manager_types_serves_each_to_two_processes() {
    let lines = listing!("manager_types").run().success();
    assert_eq!(
        lines[..6],
        [
            "Condition, Queue: 2 items",
            "Event: is_set true",
            "Barrier: 2 parties",
            "Lock, Namespace: sum 3",
            "RLock, Value: 100",
            "Semaphore, Array: [1, 2]",
        ]
    );
    assert_eq!(lines.len(), 7);
    assert!(lines[6].starts_with("BoundedSemaphore, one too many: "));
    assert!(lines[6].contains("Semaphore released too many times"));
}
