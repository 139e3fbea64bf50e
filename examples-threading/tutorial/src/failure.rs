//! How a listing that cannot go on says so.

use std::error::Error;
use std::fmt;

/// What a listing's `main` returns: an error ends the program with its one sentence on
/// standard error and exit code 1. Python ends with a traceback and the same code.
///
/// ```
/// use tutorial::Result;
///
/// fn main() -> Result<()> {
///     let number: i32 = "42".parse()?;
///     println!("{number}");
///     Ok(())
/// }
/// ```
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Any error, displayed as its own sentence.
///
/// Rust prints the error of a `main` by its `Debug`, which for most errors is made for
/// programmers; this one's is the sentence.
///
/// ```
/// use tutorial::Failure;
///
/// let failure = Failure::from("x".parse::<i32>().unwrap_err());
/// assert_eq!(format!("{failure:?}"), "invalid digit found in string");
/// ```
pub struct Failure(Box<dyn Error + Send + Sync>);

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
