//! Clock threads, which never end: D46, D47.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use nix::sys::signal::Signal;
use tutorial::harness::{Listing, listing};

/// Far beyond what a line takes on its way, far below a wrong time zone.
const ON_ITS_WAY: Duration = Duration::from_mins(5);

fn tells_the_local_time_until_ctrl_c(clock: Listing) {
    // Five hours and forty-five minutes ahead of UTC, all the year.
    let kathmandu = "<+0545>-5:45";
    let mut run = clock.env("TZ", kathmandu).tempo(20).start();
    for _ in 0..3 {
        let line = run.line();
        let time = line.strip_prefix("child thread ").unwrap();
        // Wed Jun  9 04:26:40 1993: always as wide.
        assert_eq!(time.len(), 24, "{line}");
        let shown = DateTime::strptime("%a %b %e %H:%M:%S %Y", time).unwrap();
        let zone = TimeZone::posix(kathmandu).unwrap();
        let shown = shown.to_zoned(zone).unwrap().timestamp();
        let age = Timestamp::now().duration_since(shown);
        assert!(age.unsigned_abs() < ON_ITS_WAY, "{line} is {age:#} old");
    }
    run.signal(Signal::SIGINT);
    let run = run.finish();
    assert_eq!(run.signal(), Some(Signal::SIGINT as i32), "{run:#?}");
    assert!(run.errors.is_empty(), "{run:#?}");
}

#[test]
fn thread_clock_tells_the_local_time_until_ctrl_c() {
    tells_the_local_time_until_ctrl_c(listing!("thread_clock"));
}

#[test]
fn thread_clock_class_tells_the_local_time_until_ctrl_c() {
    tells_the_local_time_until_ctrl_c(listing!("thread_clock_class"));
}
