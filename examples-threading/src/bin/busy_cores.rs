//! As many busy threads as cores keep all of them busy, and each second the process
//! tells how much of the CPU it had: N × 100 %.
//!
//! Listing N12, notebook, 多核CPU. The GIL lets one thread run at a time, so Python stays
//! at about 102 % however many cores there are.

use std::hint;
use std::thread;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use tutorial::sleep;

fn r#loop() {
    let mut x = 0;
    loop {
        x = hint::black_box(x ^ 1);
    }
}

/// The seconds that the kernel has given to all threads of this process together.
fn cpu_time() -> f64 {
    let time = ClockId::CLOCK_PROCESS_CPUTIME_ID.now().unwrap();
    Duration::from(time).as_secs_f64()
}

fn main() {
    let cores = thread::available_parallelism().unwrap().get();
    for _ in 0..cores {
        thread::spawn(r#loop);
    }

    loop {
        let start = Instant::now();
        let before = cpu_time();
        sleep(1.0);
        let used = (cpu_time() - before) / start.elapsed().as_secs_f64();
        println!("{cores} busy threads: {:.0}% CPU", used * 100.0);
    }
}
