//! Where a listing finds the small program that it starts.

use std::env;
use std::path::PathBuf;

/// The path of a program of this package, which cargo builds into the same directory
/// as the listing that starts it.
///
/// `cargo run --bin` builds one binary only; `cargo build -p examples-subprocess`
/// builds the child programs too.
///
/// ```
/// use subprocess::child_program;
///
/// assert!(child_program("protest").ends_with("protest"));
/// ```
#[must_use]
pub fn child_program(name: &str) -> PathBuf {
    match env::current_exe() {
        Ok(listing) => listing.with_file_name(name),
        // Without its own path the listing leaves the search to PATH.
        Err(_) => PathBuf::from(name),
    }
}
