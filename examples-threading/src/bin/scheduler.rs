//! Four processes in a priority queue, printed in the order in which they run.
//!
//! Listing D43, 达内 course notes, day01 作业: 模拟 OS 的调度程序 (exercise). The bug that
//! the notes found, processes of equal priority out of order, is mended by the number
//! of arrival, which decides where priorities are equal.

use std::iter;

use queue::PriorityQueue;

enum Priority {
    Given(u32),
    ByQueue,
}

fn schedule<'a>(processes: &[(&'a str, Priority)]) -> Vec<(f64, &'a str)> {
    let q = PriorityQueue::new(0);
    for (arrival, (name, priority)) in processes.iter().enumerate() {
        // Counted in halves, because floats are not ordered in Rust: 4 is 8 halves.
        let halves = match priority {
            Priority::Given(priority) => u64::from(*priority) * 2,
            Priority::ByQueue => 8 + q.qsize() as u64, // 4 + q.qsize() * 0.5
        };
        q.put((halves, arrival, *name)).unwrap();
    }
    iter::from_fn(|| q.get_nowait().ok())
        .map(|(halves, _, name)| (halves as f64 / 2.0, name))
        .collect()
}

fn main() {
    let processes = [
        ("Watch TV", Priority::Given(rand::random_range(1..=20))),
        (
            "Listen to music",
            Priority::Given(rand::random_range(1..=20)),
        ),
        ("Print Doc", Priority::ByQueue),
        ("Write Doc", Priority::ByQueue),
    ];
    for (priority, name) in schedule(&processes) {
        println!("{priority} {name}");
    }
}

#[cfg(test)]
mod tests {
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
}
