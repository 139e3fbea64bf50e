//! Work of which it is known what comes out, and how long it takes, and what several
//! questions ask.

use std::hint::black_box;
use std::time::Instant;

use bench::Results;
use multiprocessing::{cpu_count, set_spinning};

/// Listing D53's function. The compiler would solve the sum in closed form, and none
/// of the work would be left, so each step is hidden from it. Never inlined, so that
/// all contenders run the same code.
#[inline(never)]
pub(crate) fn cal(n: u64) -> u64 {
    let mut sum = 0_u64;
    for i in 0..n {
        sum = sum.wrapping_add(black_box(i * i));
    }
    sum
}

/// What [`cal`] must return, modulo 2⁶⁴.
pub(crate) fn cal_known(n: u64) -> u64 {
    let n = u128::from(n);
    (n.saturating_sub(1) * n * (2 * n).saturating_sub(1) / 6) as u64
}

/// As many steps of [`cal`] as take a microsecond here: the fastest of a few tries, as
/// somebody else may be using the machine.
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

/// Does work in which nobody looks again before going to sleep: does spinning harm
/// where there are more workers than cores?
pub(crate) fn without_spinning<R>(work: impl FnOnce() -> R) -> R {
    set_spinning(false);
    let result = work();
    set_spinning(cpu_count() > 1);
    result
}

/// What spinning brings the row of this label, or costs it.
pub(crate) fn spinning(results: &Results, label: &str) -> String {
    let unspun = results.median(&format!("{label}, never spinning"));
    let times = results.times(unspun, results.median(label));
    format!(
        "With more workers than cores, {label} takes {times} as long if nobody spins."
    )
}
