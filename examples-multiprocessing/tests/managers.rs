//! Managers, as listings use them: T21.

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
