//! Which line of a port belongs to which line of its listing.

use std::collections::{BTreeMap, BTreeSet};

/// The least likeness of two lines that belong together: the share of their words that
/// both have, each word weighed by how rare it is.
const ALIKE: f64 = 0.3;

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
    let mut counts = BTreeMap::new();
    for word in left.iter().chain(&right).flatten() {
        *counts.entry(word.as_str()).or_insert(0_u32) += 1;
    }
    let weight = |words: &mut dyn Iterator<Item = &String>| -> f64 {
        words
            .map(|word| 1.0 / f64::from(counts[word.as_str()]))
            .sum()
    };
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
        if best[i][j] <= best[i + 1][j] {
            i += 1;
        } else if best[i][j] <= best[i][j + 1] {
            j += 1;
        } else {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        }
    }
    pairs
}

/// The rows of two columns: each holds a line of the left side, of the right, or of
/// both. Lines that belong together share a row.
pub(crate) fn align(
    left: &[&str],
    right: &[&str],
) -> Vec<(Option<usize>, Option<usize>)> {
    let mut rows = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (a, b) in pairs(left, right)
        .into_iter()
        .chain([(left.len(), right.len())])
    {
        // What stands before the pair ends where the pair stands, on both sides.
        let height = (a - i).max(b - j);
        for row in 0..height {
            let line = |from, to| (from + row < to).then_some(from + row);
            rows.push((line(i, a), line(j, b)));
        }
        if a < left.len() {
            rows.push((Some(a), Some(b)));
        }
        (i, j) = (a + 1, b + 1);
    }
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
        let rows = align(&left, &right);
        for pair in [(0, 0), (2, 4), (3, 5), (4, 7)] {
            assert!(
                rows.contains(&(Some(pair.0), Some(pair.1))),
                "{pair:?}: {rows:?}"
            );
        }
    }

    #[test]
    fn a_print_stands_beside_its_println() {
        let rows = align(&["print(a)", "print(b)"], &["x();", "println!(\"{b}\");"]);
        assert!(rows.contains(&(Some(1), Some(1))), "{rows:?}");
        assert_eq!(pairs(&["print()"], &["println!();"]), [(0, 0)]);
    }

    #[test]
    fn each_line_has_its_row_in_order() {
        let left = ["a1", "b2", "c3"];
        let right = ["c3", "d4", "b2", "a1"];
        let rows = align(&left, &right);
        let lefts: Vec<_> = rows.iter().filter_map(|row| row.0).collect();
        let rights: Vec<_> = rows.iter().filter_map(|row| row.1).collect();
        assert_eq!(lefts, [0, 1, 2]);
        assert_eq!(rights, [0, 1, 2, 3]);
    }
}
