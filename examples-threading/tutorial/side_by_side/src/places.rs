//! Where a listing stands in a reader's own copy of its tutorial.
//!
//! The project holds no text of the tutorials: of each line of a listing it holds a
//! fingerprint, a hash of the line's letters and digits. Copies that differ in quotes,
//! indents, blank lines or Markdown have the same fingerprints.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use crate::Result;
use crate::catalogue::is_id;

/// How far a line may have moved against the one before it: lines may have been added
/// to a copy, or lost.
const DRIFT: usize = 3;

/// The share of a listing's lines that must be found, in percent.
const ENOUGH: usize = 50;

/// A hash of what matters in a line; nothing for a line without letters and digits.
fn fingerprint(line: &str) -> Option<u32> {
    // FNV-1a, see <http://www.isthe.com/chongo/tech/comp/fnv/>: unlike std's hashes it
    // is the same in every version.
    let mut hash = 0x811c_9dc5_u32;
    let mut empty = true;
    let mut bytes = [0; 4];
    for c in line.chars() {
        // The forms that take a whole cell beside Chinese characters.
        let narrow = match u32::from(c) {
            wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap_or(c),
            _ => c,
        };
        for c in narrow.to_lowercase().filter(|c| c.is_alphanumeric()) {
            empty = false;
            for byte in c.encode_utf8(&mut bytes).bytes() {
                hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            }
        }
    }
    (!empty).then_some(hash >> 8)
}

/// A reader's copy of a tutorial.
pub struct Document {
    name: String,
    lines: Vec<String>,
    /// The lines that have a fingerprint: index and fingerprint.
    marks: Vec<(usize, u32)>,
}

impl Document {
    /// A document of this text.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(ToString::to_string).collect();
        let marks = lines.iter().enumerate();
        let marks = marks
            .filter_map(|(index, line)| Some((index, fingerprint(line)?)))
            .collect();
        Self {
            name: name.to_string(),
            lines,
            marks,
        }
    }

    /// The document in this file. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| {
            format!("{} cannot be read: {error}", path.display())
        })?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(Self::new(&path.display().to_string(), &text))
    }

    /// What it was called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The index of the first line that a search for this text finds; a search ignores
    /// case.
    #[must_use]
    pub fn search(&self, text: &str) -> Option<usize> {
        let text = text.to_lowercase();
        let mut lines = self.lines.iter();
        lines.position(|line| line.to_lowercase().contains(&text))
    }

    /// The fingerprints of these lines, as they stand in `places.txt`.
    #[must_use]
    pub fn part(&self, lines: RangeInclusive<usize>) -> String {
        let mut part = String::new();
        for (_, mark) in self.marks.iter().filter(|(i, _)| lines.contains(i)) {
            let _ = write!(part, " {mark:06x}"); // A string takes everything.
        }
        part
    }

    /// Where these lines are found best, and the share of them that is, in percent.
    fn find(&self, part: &[u32]) -> Option<(usize, RangeInclusive<usize>)> {
        let mut starts = BTreeSet::new();
        for (j, mark) in part.iter().enumerate() {
            for (i, (_, other)) in self.marks.iter().enumerate() {
                if mark == other && i >= j {
                    starts.insert(i - j);
                }
            }
        }
        let mut best = None;
        for start in starts {
            let Some((count, lines)) = self.follow(part, start) else {
                continue;
            };
            let share = count * 100 / part.len();
            if best.as_ref().is_none_or(|&(most, _)| share > most) {
                best = Some((share, lines));
            }
        }
        best.filter(|&(share, _)| share >= ENOUGH)
    }

    /// Follows the part from this mark on. Returns the number of lines found, and from
    /// which to which line of the document they stand.
    fn follow(
        &self,
        part: &[u32],
        start: usize,
    ) -> Option<(usize, RangeInclusive<usize>)> {
        let mut expected = start;
        let mut found = Vec::new();
        for mark in part {
            let near = (0..=DRIFT)
                .flat_map(|by| [expected.checked_add(by), expected.checked_sub(by)])
                .flatten()
                .filter(|at| found.last().is_none_or(|last| at > last))
                .find(|&at| self.marks.get(at).is_some_and(|(_, m)| m == mark));
            if let Some(at) = near {
                found.push(at);
                expected = at;
            }
            expected += 1;
        }
        let (first, last) = (*found.first()?, *found.last()?);
        let lines = self.marks[first].0..=self.marks[last].0;
        Some((found.len(), lines))
    }
}

/// A listing's lines in one of the documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The index of the document.
    pub document: usize,
    /// The indices of the lines.
    pub lines: RangeInclusive<usize>,
}

/// The fingerprints of a listing. Some listings stand in several parts.
pub struct Place {
    /// The listing's id.
    pub id: String,
    parts: Vec<Vec<u32>>,
}

impl Place {
    /// Where its parts stand in these documents, as far as they are found. A part that
    /// stands in several documents is taken from the one that has the most of it.
    #[must_use]
    pub fn find(&self, documents: &[Document]) -> Vec<Found> {
        let mut all = Vec::new();
        for part in &self.parts {
            let mut best = None;
            for (document, text) in documents.iter().enumerate() {
                if let Some((share, lines)) = text.find(part)
                    && best.as_ref().is_none_or(|&(most, _)| share > most)
                {
                    best = Some((share, Found { document, lines }));
                }
            }
            all.extend(best.map(|(_, found)| found));
        }
        all
    }
}

/// A section of a tutorial.
pub struct Section {
    /// The tutorial's title.
    pub tutorial: String,
    /// Its own title, as the tutorial prints it.
    pub title: String,
    /// Its listings, in the tutorial's order.
    pub places: Vec<Place>,
}

/// Reads the form of `places.txt`: `# ` before a tutorial's title, `## ` before a
/// section's, and a line for each part of a listing, its id and its fingerprints.
///
/// # Errors
///
/// A line has another form.
///
/// ```
/// let sections = side_by_side::sections("# Title\n## Section\nV1 00ff00 c0ffee\n")?;
/// assert_eq!(sections[0].places[0].id, "V1");
/// # side_by_side::Result::Ok(())
/// ```
pub fn sections(text: &str) -> Result<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    let mut tutorial = "";
    for (index, line) in text.lines().enumerate() {
        let wrong = || format!("line {} of the places is malformed", index + 1);
        if let Some(title) = line.strip_prefix("## ") {
            sections.push(Section {
                tutorial: tutorial.to_string(),
                title: title.to_string(),
                places: Vec::new(),
            });
            continue;
        }
        if let Some(title) = line.strip_prefix("# ") {
            tutorial = title;
            continue;
        }
        let mut words = line.split_whitespace();
        let Some(id) = words.next() else {
            continue;
        };
        let part: Vec<u32> = words
            .map(|word| u32::from_str_radix(word, 16))
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| wrong())?;
        let section = sections.last_mut().ok_or_else(wrong)?;
        if !is_id(id) || part.is_empty() {
            return Err(wrong().into());
        }
        match section.places.last_mut() {
            Some(place) if place.id == id => place.parts.push(part),
            _ => section.places.push(Place {
                id: id.to_string(),
                parts: vec![part],
            }),
        }
    }
    Ok(sections)
}

/// The sections and places of the project's own four tutorials.
///
/// # Errors
///
/// `places.txt` is malformed.
///
/// ```
/// assert!(side_by_side::project_sections()?.len() > 20);
/// # side_by_side::Result::Ok(())
/// ```
pub fn project_sections() -> Result<Vec<Section>> {
    sections(include_str!("../places.txt"))
}
