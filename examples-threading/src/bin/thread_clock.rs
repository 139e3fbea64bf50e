//! A thread that tells the time every second.
//!
//! Listing D46, 达内 course notes, day02 用 thread 来实现定时器 and day04.

use std::thread;

use jiff::Zoned;
use tutorial::sleep;

fn get_time(interval: f64) {
    loop {
        sleep(interval);
        // Python's `time.ctime()`
        let ctime = Zoned::now().strftime("%a %b %e %H:%M:%S %Y").to_string();
        println!("child thread {ctime}");
    }
}

fn main() {
    thread::scope(|s| {
        s.spawn(|| get_time(1.0));
    });
}
