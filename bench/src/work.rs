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
    /// A loop of single steps takes one cycle a step, and on a Zen 4 two if the linker
    /// happens to place it across the boundary of two cache lines. A jump for every
    /// eight steps leaves the multiplications as the limit, wherever the code lies.
    const UNROLLED: u64 = 8;
    let add = |sum: u64, i: u64| sum.wrapping_add(black_box(i * i));
    let whole = n - n % UNROLLED;
    let mut sum = 0;
    for first in (0..whole).step_by(UNROLLED as usize) {
        sum = (0..UNROLLED).fold(sum, |sum, step| add(sum, first + step));
    }
    (whole..n).fold(sum, add)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_returns_what_the_formula_says_for_every_number_of_steps() {
        for n in (0..50).chain([99_999, 100_000]) {
            assert_eq!(cal(n), cal_known(n), "{n} steps");
        }
    }
}
