//! How many tasks a worker takes before a process is free for them.

use std::time::{Duration, Instant};

/// A round trip to a broker that is near, in seconds.
const ROUND_TRIP: f64 = 0.004;
/// The largest number of tasks that are taken ahead.
const MOST_AHEAD: usize = 128;

/// The number of tasks that are taken before a process is free for them. It is the number
/// of tasks that end during one round trip to the broker, so it is zero while tasks are
/// long.
pub(super) struct Prefetch {
    /// When the rate was last computed.
    since: Instant,
    /// The number of tasks that have ended since.
    done: u32,
    pub(super) ahead: usize,
}

impl Default for Prefetch {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            done: 0,
            ahead: 0,
        }
    }
}

impl Prefetch {
    /// Counts tasks that have ended.
    pub(super) fn count(&mut self, done: u32) {
        self.done += done;
        let elapsed = self.since.elapsed();
        if elapsed >= Duration::from_millis(20) {
            let rate = f64::from(self.done) / elapsed.as_secs_f64();
            self.ahead = ((rate * ROUND_TRIP) as usize).min(MOST_AHEAD);
            self.since = Instant::now();
            self.done = 0;
        }
    }
}
