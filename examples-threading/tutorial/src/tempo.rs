//! A listing's pauses, and the tempo at which they are played.

use std::sync::LazyLock;
use std::time::Duration;
use std::{env, process, thread};

/// How many times faster than the tutorial a listing plays: the environment variable
/// `TEMPO`, a positive number; 1 if it is unset or empty.
static TEMPO: LazyLock<f64> = LazyLock::new(|| {
    let Some(text) = env::var_os("TEMPO").filter(|text| !text.is_empty()) else {
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

// Before `main`, so that a wrong `TEMPO` is reported before the listing has printed a
// line or started a child. A forked child does not come here; a spawned one does, but
// it has the value that its parent has found to be right.
ctor::declarative::ctor! {
    #[ctor(unsafe)]
    fn read_tempo() {
        LazyLock::force(&TEMPO);
    }
}

/// Lets the calling thread sleep for a number of seconds at the tutorial's own pace:
/// Python's [`time.sleep`](https://docs.python.org/3/library/time.html#time.sleep).
///
/// The environment variable `TEMPO` divides the time: with `TEMPO=20` a pause of ten
/// seconds takes half a second. A `TEMPO` that is not a positive number ends the
/// program before its `main`, with exit code 2 and one sentence. A negative time
/// counts as 0.
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

/// The duration that a number of the tutorial's seconds takes at this `TEMPO`: for a
/// listing's timers and time-outs. See [`sleep`].
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
