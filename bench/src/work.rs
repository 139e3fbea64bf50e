//! Work whose answer is known.

use std::hint::black_box;

/// Listing D53's function: the sum of the squares below `n`, modulo 2⁶⁴.
///
/// The compiler would replace the loop by a formula, so each step is hidden from it.
/// Never inlined, so that all contenders run the same code.
///
/// ```
/// assert_eq!(bench::cal(4), 14);
/// ```
#[inline(never)]
#[must_use]
pub fn cal(n: u64) -> u64 {
    let mut sum = 0_u64;
    for i in 0..n {
        sum = sum.wrapping_add(black_box(i * i));
    }
    sum
}

/// What [`cal`] must return, by the formula.
///
/// ```
/// assert_eq!(bench::cal_known(20_000), bench::cal(20_000));
/// ```
#[must_use]
pub fn cal_known(n: u64) -> u64 {
    let n = u128::from(n);
    (n.saturating_sub(1) * n * (2 * n).saturating_sub(1) / 6) as u64
}
