//! The alarm clock of a process.

use std::time::Duration;

use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use tutorial::seconds;

/// Sends SIGALRM to this process after a time: Python's
/// [`signal.alarm`](https://docs.python.org/3/library/signal.html#signal.alarm), which
/// counts whole seconds.
///
/// The system's `alarm` does the same. A timer takes its place here so that `TEMPO` can
/// shorten the time. Dropping the returned value stops the timer. See
/// [timer_create(2)](https://man7.org/linux/man-pages/man2/timer_create.2.html).
///
/// # Errors
///
/// The system's error, if this user has too many pending signals.
///
/// ```
/// use nix::sys::signal::{SigSet, Signal};
///
/// let alarms = SigSet::from(Signal::SIGALRM);
/// alarms.thread_block()?;
/// let _timer = signals::alarm(0.01)?;
/// assert_eq!(alarms.wait()?, Signal::SIGALRM);
/// # Ok::<(), nix::Error>(())
/// ```
pub fn alarm(time: f64) -> nix::Result<Timer> {
    let mut timer = Timer::new(
        ClockId::CLOCK_MONOTONIC,
        SigEvent::new(SigevNotify::SigevSignal {
            signal: Signal::SIGALRM,
            si_value: 0,
        }),
    )?;
    // A timer that is set to zero is off.
    let once = seconds(time).max(Duration::from_nanos(1));
    timer.set(Expiration::OneShot(once.into()), TimerSetTimeFlags::empty())?;
    Ok(timer)
}
