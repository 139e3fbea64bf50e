//! How a listing that cannot go on says so.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

/// What a listing's `main` returns. An error ends the program with one sentence on
/// standard error and exit code 1; a Python script ends with a traceback and the same
/// code.
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

/// Any error, shown as its own sentence.
///
/// Rust prints the error of a `main` by its `Debug`, which most errors make for
/// programmers. The `Debug` of this one is the sentence.
///
/// ```
/// use tutorial::Failure;
///
/// let failure = Failure::from("x".parse::<i32>().unwrap_err());
/// assert_eq!(format!("{failure:?}"), "invalid digit found in string");
/// ```
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Failure {
    /// A failure that has no error of its own, only this sentence.
    ///
    /// ```
    /// use tutorial::{Failure, Result};
    ///
    /// fn pieces(argument: &str) -> Result<u32> {
    ///     argument.parse().map_err(|_| Failure::new("PIECES must be a number."))
    /// }
    ///
    /// assert_eq!(format!("{:?}", pieces("x").unwrap_err()), "PIECES must be a number.");
    /// ```
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into().into())
    }

    /// Names the file in an error of the system, which says only what it could not do.
    ///
    /// ```
    /// use std::fs;
    /// use tutorial::Failure;
    ///
    /// let missing = fs::read("/no/such/file").map_err(Failure::at("/no/such/file"));
    /// let failure = format!("{:?}", missing.unwrap_err());
    /// assert_eq!(failure, "/no/such/file: No such file or directory (os error 2)");
    /// ```
    pub fn at(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new(format!("{}: {error}", path.as_ref().display()))
    }
}

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
