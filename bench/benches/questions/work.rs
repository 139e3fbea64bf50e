//! How long work takes here, and what several questions ask.

use std::hint::black_box;
use std::time::Instant;

use bench::{Results, cal};
use multiprocessing::{cpu_count, set_spinning};

/// How many steps of [`cal`] take a microsecond here: by the fastest of a few tries, as
/// other programs may be using the machine.
pub(crate) fn steps_per_microsecond() -> f64 {
    const STEPS: u64 = 200_000;
    let tries = (0..10).map(|_| {
        let start = Instant::now();
        black_box(cal(STEPS));
        start.elapsed()
    });
    let fastest = tries.min().map_or(0.0, |took| took.as_secs_f64());
    STEPS as f64 / (fastest * 1e6)
}

/// Does work in which no wait spins before it sleeps: does spinning do harm if there
/// are more workers than cores?
pub(crate) fn without_spinning<R>(work: impl FnOnce() -> R) -> R {
    set_spinning(false);
    let result = work();
    set_spinning(cpu_count() > 1);
    result
}

/// What spinning gains the row of this label, or costs it.
pub(crate) fn spinning(results: &Results, label: &str) -> Option<String> {
    let times = results.times(&format!("{label}, never spinning"), label)?;
    Some(format!(
        "With more workers than cores, {label} takes {times} as long if it never spins."
    ))
}
