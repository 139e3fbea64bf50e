//! A listing's pauses, and the tempo at which they are played.

use std::sync::LazyLock;
use std::time::Duration;
use std::{env, process, thread};

/// How many times faster than the tutorial a listing plays: the environment variable
/// `TEMPO`, a positive number, 1 where it is not set.
static TEMPO: LazyLock<f64> = LazyLock::new(|| {
    let Some(text) = env::var_os("TEMPO") else {
        return 1.0;
    };
    match text.to_str().and_then(|text| text.parse().ok()) {
        Some(tempo) if tempo > 0.0 && f64::is_finite(tempo) => tempo,
        _ => {
            eprintln!(
                "TEMPO must be a positive number such as 20, not {}.",
                text.display()
            );
            process::exit(2)
        }
    }
});

/// Lets the calling thread sleep for so many seconds at the tutorial's own pace:
/// Python's [`time.sleep`](https://docs.python.org/3/library/time.html#time.sleep).
///
/// The environment variable `TEMPO` divides the time: with `TEMPO=20` a pause of ten
/// seconds takes half a second. A `TEMPO` that is not a positive number ends the
/// program with exit code 2 and a sentence that says so. A negative time is none.
///
/// ```
/// use tutorial::sleep;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// sleep(0.02);
/// # if std::env::var_os("TEMPO").is_none() {
/// assert!(start.elapsed() >= Duration::from_millis(20));
/// # }
/// ```
pub fn sleep(seconds: f64) {
    thread::sleep(self::seconds(seconds));
}

/// So many seconds of the tutorial's time as the duration they take at this
/// `TEMPO`: for a listing's timers and time-outs. See [`sleep`].
///
/// ```
/// # if std::env::var_os("TEMPO").is_none() {
/// use tutorial::seconds;
/// use std::time::Duration;
///
/// assert_eq!(seconds(10.0), Duration::from_secs(10));
/// # }
/// ```
#[must_use]
pub fn seconds(seconds: f64) -> Duration {
    let seconds = seconds.max(0.0) / *TEMPO;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
