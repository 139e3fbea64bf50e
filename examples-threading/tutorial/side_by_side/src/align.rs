//! Which line of a port belongs to which line of its listing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The least likeness of two lines that belong together: the share of their words that
/// both have, each word weighed by how rare it is.
const ALIKE: f64 = 0.4;

/// The weight of a word that stands on one side only. A word on both sides weighs as
/// much if it stands there twenty times.
const ONE_SIDED: f64 = 0.05;

/// Words that stand in too many lines to say anything, and what Rust calls them.
const COMMON: [&str; 28] = [
    "a", "as", "def", "else", "false", "fn", "for", "from", "i32", "if", "import",
    "in", "let", "mut", "none", "of", "pub", "return", "self", "some", "std", "the",
    "true", "u32", "unwrap", "use", "while", "with",
];

/// The words of a line, in lower case and without underscores: `BoothThread`,
/// `booth_thread` and `booth thread` are the same two words.
fn words(line: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut word = String::new();
    let mut lower = false;
    for c in line.chars().chain([' ']) {
        let border = !c.is_alphanumeric() || (lower && c.is_uppercase());
        if border && !word.is_empty() {
            words.insert(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        lower = c.is_lowercase();
    }
    if words.remove("println") {
        words.insert("print".into());
    }
    for common in COMMON {
        words.remove(common);
    }
    words
}

/// The pairs of lines that belong together, in order: neither side goes back.
///
/// This is the alignment of Needleman and Wunsch (1970), in which a line without a
/// partner costs nothing.
fn pairs(left: &[&str], right: &[&str]) -> Vec<(usize, usize)> {
    let [left, right] = [left, right]
        .map(|side| side.iter().map(|line| words(line)).collect::<Vec<_>>());
    let count = |side: &[BTreeSet<String>]| {
        let mut counts = BTreeMap::new();
        for word in side.iter().flatten() {
            *counts.entry(word.clone()).or_insert(0_u32) += 1;
        }
        counts
    };
    let counts = [count(&left), count(&right)];
    // A word that the other side lacks speaks against no line of it in particular.
    let weigh = |word: &String| match (counts[0].get(word), counts[1].get(word)) {
        (Some(left), Some(right)) => 1.0 / f64::from(left + right),
        _ => ONE_SIDED,
    };
    let weight =
        |words: &mut dyn Iterator<Item = &String>| words.map(weigh).sum::<f64>();
    let alike = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
        let all = weight(&mut a.union(b));
        if all == 0.0 {
            return 0.0;
        }
        let share = weight(&mut a.intersection(b)) / all;
        if share < ALIKE { 0.0 } else { share }
    };

    // best[i][j]: the likeness that lines from i and j on can reach together.
    let mut best = vec![vec![0.0_f64; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            let paired = match alike(&left[i], &right[j]) {
                0.0 => 0.0,
                share => share + best[i + 1][j + 1],
            };
            best[i][j] = paired.max(best[i + 1][j]).max(best[i][j + 1]);
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while i < left.len() && j < right.len() {
        let share = alike(&left[i], &right[j]);
        // Of several lines that would do, the first: a document often repeats a listing.
        if share > 0.0 && share + best[i + 1][j + 1] >= best[i][j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if best[i][j + 1] >= best[i][j] {
            j += 1;
        } else {
            i += 1;
        }
    }
    pairs
}

/// The lines of a row: those of its left cell and those of its right.
pub(crate) type Cells = (Range<usize>, Range<usize>);

/// The rows of two columns. Lines that belong together have a row of their own; what
/// stands between two such pairs is one row.
pub(crate) fn align(left: &[&str], right: &[&str]) -> Vec<Cells> {
    let mut rows = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (a, b) in pairs(left, right) {
        rows.push((i..a, j..b));
        rows.push((a..a + 1, b..b + 1));
        (i, j) = (a + 1, b + 1);
    }
    rows.push((i..left.len(), j..right.len()));
    rows.retain(|(left, right)| !left.is_empty() || !right.is_empty());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_stands_beside_its_namesake() {
        let left = [
            "import time",
            "",
            "def buyTicket(n):",
            "    sell(n)",
            "go(1)",
        ];
        let right = [
            "use std::time;",
            "",
            "/// Sells.",
            "",
            "fn buy_ticket(n: u8) {",
            "    sell(n);",
            "}",
            "go(1);",
        ];
        assert_eq!(pairs(&left, &right), [(0, 0), (2, 4), (3, 5), (4, 7)]);
        assert!(align(&left, &right).contains(&(1..2, 1..4)));
    }

    #[test]
    fn of_a_listing_and_its_repetition_the_first_is_taken() {
        let left = ["count(1)", "count(2)", "again", "count(1)", "count(2)"];
        assert_eq!(pairs(&left, &["count(1);", "count(2);"]), [(0, 0), (1, 1)]);
    }

    #[test]
    fn a_print_stands_beside_its_println() {
        assert_eq!(pairs(&["print()"], &["println!();"]), [(0, 0)]);
    }

    #[test]
    fn a_type_that_only_rust_writes_does_not_part_two_lines() {
        let left = ["def getTime(interval):", "x = getTime(1)", "y = getTime(2)"];
        let right = ["fn get_time(interval: f64) -> Seconds<Whole> {", "}"];
        assert_eq!(pairs(&left, &right), [(0, 0)]);
    }

    #[test]
    fn each_line_has_its_row_in_order() {
        let left = ["a1", "b2", "c3"];
        let right = ["c3", "d4", "b2", "a1"];
        let rows = align(&left, &right);
        let lefts: Vec<_> = rows.iter().flat_map(|row| row.0.clone()).collect();
        let rights: Vec<_> = rows.iter().flat_map(|row| row.1.clone()).collect();
        assert_eq!(lefts, [0, 1, 2]);
        assert_eq!(rights, [0, 1, 2, 3]);
    }
}
