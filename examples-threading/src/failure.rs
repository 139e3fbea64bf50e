//! How a listing that cannot go on says so.

use std::error::Error;
use std::fmt;

/// What `main` returns where something outside the program can fail: the user sees the
/// error's one sentence and the exit code is 1.
///
/// Rust prints the error of a `main` by its `Debug`; this one's is the sentence.
/// Python ends with a traceback.
///
/// ```
/// use examples_threading::Failure;
///
/// fn main() -> Result<(), Failure> {
///     let number: i32 = "42".parse()?;
///     println!("{number}");
///     Ok(())
/// }
/// # let sentence = "x".parse::<i32>().map_err(Failure::from).unwrap_err();
/// # assert_eq!(format!("{sentence:?}"), "invalid digit found in string");
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
