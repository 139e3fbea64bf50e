//! Quantiles, and what may be said about two medians.

use std::fmt;
use std::time::Duration;

/// The quantile `part / of` of sorted samples by the nearest rank: the smallest sample
/// that at least this share of them does not exceed.
///
/// See <https://en.wikipedia.org/wiki/Percentile#The_nearest-rank_method>.
pub(crate) fn nearest_rank<T: Copy>(
    sorted: &[T],
    part: usize,
    of: usize,
) -> Option<T> {
    let rank = (sorted.len() * part).div_ceil(of).max(1);
    sorted.get(rank - 1).copied()
}

/// The time that 99 of 100 calls do not exceed, by the nearest rank. Zero for no calls.
///
/// ```
/// use std::time::Duration;
///
/// let took = (1..=1000).rev().map(Duration::from_micros).collect();
/// assert_eq!(bench::percentile_99(took), Duration::from_micros(990));
/// ```
#[must_use]
pub fn percentile_99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    nearest_rank(&took, 99, 100).unwrap_or_default()
}

/// The median of some samples and their middle half, from the first to the third
/// quartile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Middle {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

/// How far a median of fewer than three samples is assumed to be off to either side,
/// since so few show no spread.
const UNKNOWN_SPREAD: f64 = 0.1;

impl Middle {
    /// Of samples in any order; `None` if there are none.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = nearest_rank(&sorted, 1, 2)?;
        let (low, high) = if sorted.len() < 3 {
            (
                median * (1.0 - UNKNOWN_SPREAD),
                median * (1.0 + UNKNOWN_SPREAD),
            )
        } else {
            (nearest_rank(&sorted, 1, 4)?, nearest_rank(&sorted, 3, 4)?)
        };
        Some(Self { low, median, high })
    }

    /// The width of the middle half as a share of the median.
    pub(crate) fn spread(self) -> f64 {
        (self.high - self.low) / self.median
    }
}

/// How many times as long one thing takes as another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    median: f64,
    low: f64,
    high: f64,
}

/// Which of two things takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first is faster.
    Less,
    /// Their middle halves overlap: the measurement does not tell them apart.
    Equal,
    /// The first is slower.
    More,
}

impl Ratio {
    pub(crate) fn new(first: Middle, second: Middle) -> Self {
        Self {
            median: first.median / second.median,
            low: first.low / second.high,
            high: first.high / second.low,
        }
    }

    /// So many times this ratio.
    pub(crate) fn scaled(self, by: f64) -> Self {
        Self {
            median: by * self.median,
            low: by * self.low,
            high: by * self.high,
        }
    }

    /// The ratio of the medians, and how far it may be off.
    pub(crate) fn middle(self) -> Middle {
        Middle {
            low: self.low,
            median: self.median,
            high: self.high,
        }
    }

    /// The ratio of the medians.
    #[must_use]
    pub fn of_medians(self) -> f64 {
        self.median
    }

    /// For a table: the factor, marked if the two are equal within the spread.
    pub(crate) fn short(self) -> String {
        match self.verdict() {
            Verdict::Equal => format!("≈ {}", factor(self.median)),
            Verdict::Less | Verdict::More => factor(self.median),
        }
    }

    /// Which of the two takes longer. Two things differ only if the middle halves of
    /// their samples do not overlap.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        if self.high < 1.0 {
            Verdict::Less
        } else if self.low > 1.0 {
            Verdict::More
        } else {
            Verdict::Equal
        }
    }
}

/// For a sentence: the factor, and whether it is one at all.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&factor(self.median))?;
        match self.verdict() {
            Verdict::Equal => f.write_str(" (equal within the spread)"),
            Verdict::Less | Verdict::More => Ok(()),
        }
    }
}

/// A factor with two or three digits, a small one as a fraction.
pub(crate) fn factor(factor: f64) -> String {
    match factor {
        f if f < 0.1 => format!("1/{:.0}", 1.0 / f),
        f if f >= 100.0 => format!("{f:.0} ×"),
        f if f >= 10.0 => format!("{f:.1} ×"),
        f => format!("{f:.2} ×"),
    }
}

/// A time in nanoseconds, with three digits.
pub(crate) fn time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        n if n >= 1e9 => (n / 1e9, "s"),
        n if n >= 1e6 => (n / 1e6, "ms"),
        n if n >= 1e3 => (n / 1e3, "µs"),
        n => (n, "ns"),
    };
    match value {
        v if v >= 100.0 => format!("{v:.0} {unit}"),
        v if v >= 10.0 => format!("{v:.1} {unit}"),
        v => format!("{v:.2} {unit}"),
    }
}

/// A time without the zeros of its fraction.
pub(crate) fn round_time(nanos: f64) -> String {
    let text = time(nanos);
    match text.split_once(' ') {
        Some((value, unit)) if value.contains('.') => {
            let value = value.trim_end_matches('0').trim_end_matches('.');
            format!("{value} {unit}")
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn middle(low: f64, median: f64, high: f64) -> Middle {
        Middle { low, median, high }
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        // The 99th percentile of 100 samples is the 99th smallest, not the largest.
        let samples: Vec<u32> = (1..=100).collect();
        assert_eq!(nearest_rank(&samples, 99, 100), Some(99));
        // Of 101 samples 99 are only 98 %.
        let samples: Vec<u32> = (1..=101).collect();
        assert_eq!(nearest_rank(&samples, 99, 100), Some(100));
        assert_eq!(nearest_rank(&[7], 99, 100), Some(7));
        assert_eq!(nearest_rank::<u32>(&[], 99, 100), None);
    }

    #[test]
    fn the_middle_half_leaves_a_quarter_on_either_side() {
        let samples: Vec<f64> = (1..=15).rev().map(f64::from).collect();
        assert_eq!(Middle::of(&samples), Some(middle(4.0, 8.0, 12.0)));
        assert_eq!(Middle::of(&[]), None);
    }

    #[test]
    fn a_single_run_is_not_taken_for_one_without_spread() {
        let single = Middle::of(&[100.0]).unwrap();
        let near = Ratio::new(single, middle(104.0, 105.0, 106.0));
        let far = Ratio::new(single, middle(119.0, 120.0, 121.0));
        assert_eq!(near.verdict(), Verdict::Equal);
        assert_eq!(far.verdict(), Verdict::Less);
    }

    #[test]
    fn two_rows_differ_only_if_their_middle_halves_do_not_overlap() {
        let wide = middle(33.0, 39.6, 46.0);
        let other = middle(39.0, 39.8, 40.0);
        assert_eq!(Ratio::new(wide, other).verdict(), Verdict::Equal);
        assert_eq!(Ratio::new(other, wide).verdict(), Verdict::Equal);
        let slow = middle(47.0, 48.0, 49.0);
        assert_eq!(Ratio::new(wide, slow).verdict(), Verdict::Less);
        assert_eq!(Ratio::new(slow, wide).verdict(), Verdict::More);
    }

    #[test]
    fn a_ratio_within_the_spread_says_so() {
        let (one, two) = (middle(9.0, 10.0, 11.0), middle(10.0, 11.0, 12.0));
        let equal = Ratio::new(one, two).to_string();
        assert_eq!(equal, "0.91 × (equal within the spread)");
        let twice = middle(21.0, 22.0, 23.0);
        assert_eq!(Ratio::new(twice, one).to_string(), "2.20 ×");
    }

    #[test]
    fn times_and_factors_have_three_digits() {
        assert_eq!(time(14.44), "14.4 ns");
        assert_eq!(time(168_400.0), "168 µs");
        assert_eq!(time(2_345_678_900.0), "2.35 s");
        assert_eq!([factor(117.2), factor(1.977)], ["117 ×", "1.98 ×"]);
        assert_eq!([factor(0.5), factor(0.02)], ["0.50 ×", "1/50"]);
    }
}
