//! The listings, as the README's tables name them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// A row of the README's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The tutorial's letter and a number.
    pub id: String,
    /// Text that a search in the tutorial finds at the listing or shortly before it.
    pub place: String,
    /// What the listing shows.
    pub shows: String,
    /// The text of the link.
    pub file: String,
    /// Where the link leads, from the workspace's root.
    pub path: String,
    /// The package that the command above the row's table names.
    pub package: String,
}

impl Row {
    /// The name of the program.
    ///
    /// ```
    /// let row = &side_by_side::rows("| V17 | a | b | [`booth.rs`](x/booth.rs) |")[0];
    /// assert_eq!(row.name(), "booth");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.file.strip_suffix(".rs").unwrap_or(&self.file)
    }

    /// What a reader types to run it.
    ///
    /// ```
    /// let tables = "$ cargo run -p x --bin NAME\n| V17 | a | b | [`booth.rs`](y) |";
    /// let row = &side_by_side::rows(tables)[0];
    /// assert_eq!(row.command(), "cargo run -p x --bin booth");
    /// ```
    #[must_use]
    pub fn command(&self) -> String {
        format!("cargo run -p {} --bin {}", self.package, self.name())
    }
}

/// The workspace that this package was built in.
///
/// ```
/// assert!(side_by_side::root().join("README.md").is_file());
/// ```
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// The text of a file of the workspace.
///
/// # Errors
///
/// The file cannot be read.
///
/// ```
/// assert!(side_by_side::text("Cargo.toml")?.contains("[workspace]"));
/// # side_by_side::Result::Ok(())
/// ```
pub fn text(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path))
        .map_err(|error| format!("{path} cannot be read: {error}").into())
}

/// Whether this is a listing's id: the letter of a tutorial and a number.
///
/// ```
/// assert!(side_by_side::is_id("V17") && !side_by_side::is_id("V"));
/// ```
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.strip_prefix(['V', 'N', 'T', 'D'])
        .is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        })
}

/// The rows of a README's tables of listings, each with its section's package.
///
/// A row that does not end with a link has an empty `file` and `path`.
///
/// ```
/// let tables = "$ cargo run -p x --bin NAME\n| V17 | a | b | [`booth.rs`](y) |";
/// let row = &side_by_side::rows(tables)[0];
/// assert_eq!((&*row.id, &*row.package, &*row.path), ("V17", "x", "y"));
/// ```
#[must_use]
pub fn rows(readme: &str) -> Vec<Row> {
    let mut package = "";
    let mut rows = Vec::new();
    for line in readme.lines() {
        if let Some(command) = line.strip_prefix("$ cargo run -p ")
            && let Some(name) = command.strip_suffix(" --bin NAME")
        {
            package = name;
        }
        let cells = line.trim_matches('|').split(" | ");
        let cells: Vec<&str> = cells.map(str::trim).collect();
        let [id, place, shows, link] = cells[..] else {
            continue;
        };
        if !is_id(id) {
            continue;
        }
        let link = link.strip_prefix("[`").and_then(|l| l.strip_suffix(')'));
        let (file, path) =
            link.and_then(|l| l.split_once("`](")).unwrap_or_default();
        rows.push(Row {
            id: id.to_string(),
            place: place.to_string(),
            shows: shows.replace("\\|", "|"),
            file: file.to_string(),
            path: path.to_string(),
            package: package.to_string(),
        });
    }
    rows
}
