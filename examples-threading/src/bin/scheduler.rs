//! Four processes in a priority queue, printed in the order in which they run.
//!
//! Listing D43, 达内 course notes, 模拟 OS 的调度程序 (exercise). The bug that the notes
//! found, processes of equal priority out of order, is fixed by the number of
//! arrival, which decides if priorities are equal.

use queue::PriorityQueue;

enum Priority {
    Given(u32),
    ByQueue,
}

fn schedule<'a>(processes: &[(&'a str, Priority)]) -> Vec<(f64, &'a str)> {
    let q = PriorityQueue::new(0);
    for (arrival, (name, priority)) in processes.iter().enumerate() {
        // Counted in halves, because floats have no total order in Rust: 4 is 8 halves.
        let halves = match priority {
            Priority::Given(priority) => u64::from(*priority) * 2,
            Priority::ByQueue => 8 + q.qsize() as u64, // 4 + q.qsize() * 0.5
        };
        q.put((halves, arrival, *name)).unwrap();
    }
    let mut order = Vec::new();
    while let Ok((halves, _, name)) = q.get_nowait() {
        order.push((halves as f64 / 2.0, name));
    }
    order
}

fn main() {
    let random = || Priority::Given(rand::random_range(1..=20));
    let processes = [
        ("Watch TV", random()),
        ("Listen to music", random()),
        ("Print Doc", Priority::ByQueue),
        ("Write Doc", Priority::ByQueue),
    ];
    for (priority, name) in schedule(&processes) {
        println!("{priority} {name}");
    }
}

#[cfg(test)]
#[path = "../../tests/exercises/scheduler.rs"]
mod tests;
