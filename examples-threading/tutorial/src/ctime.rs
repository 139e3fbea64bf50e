//! The time as Python's listings print it.

use jiff::Zoned;

/// This moment in the local time zone, as in `Sat Nov  4 15:11:52 2017`: Python's
/// [`time.ctime()`](https://docs.python.org/3/library/time.html#time.ctime).
///
/// ```
/// assert_eq!(tutorial::ctime().len(), 24);
/// ```
#[must_use]
pub fn ctime() -> String {
    Zoned::now().strftime("%a %b %e %H:%M:%S %Y").to_string()
}
