//! Work of which it is known what comes out, and how long it takes.

use std::hint::black_box;
use std::time::Instant;

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
