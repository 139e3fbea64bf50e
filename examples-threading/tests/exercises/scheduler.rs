//! Properties of the listing D43, `src/bin/scheduler.rs`.

use proptest::prelude::*;

use super::{Priority, schedule};

fn processes() -> impl Strategy<Value = Vec<(String, Option<u32>)>> {
    let priority = prop::option::of(prop_oneof![1..=20_u32, any::<u32>()]);
    prop::collection::vec(("[a-z]{1,3}", priority), 0..40)
}

proptest! {
    #[test]
    fn the_smallest_first_and_equals_as_they_came(processes in processes()) {
        let mut expected: Vec<_> = (processes.iter().enumerate())
            .map(|(before, (name, given))| {
                let by_queue = 4.0 + before as f64 * 0.5;
                (given.map_or(by_queue, f64::from), name.as_str())
            })
            .collect();
        expected.sort_by(|(a, _), (b, _)| a.total_cmp(b)); // keeps equals in order

        let input: Vec<_> = (processes.iter())
            .map(|(name, given)| {
                (name.as_str(), given.map_or(Priority::ByQueue, Priority::Given))
            })
            .collect();
        prop_assert_eq!(schedule(&input), expected);
    }
}
