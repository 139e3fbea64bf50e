//! As many busy threads as cores, and each second how much CPU they use: N × 100 %.
//!
//! Listing N12, notebook, 多核CPU (prose). The GIL lets one thread run at a time, so
//! Python stays at about 102 % however many cores there are. It changes threads every
//! 5 ms; the notebook's 100 bytecodes were the rule before 3.2. Since 3.13 there is a
//! build of the interpreter without the GIL.

use std::hint;
use std::thread;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use tutorial::{Result, sleep};

fn r#loop() {
    let mut x = 0;
    loop {
        x = hint::black_box(x ^ 1);
    }
}

/// The seconds of CPU time that all threads of this process have used together.
fn cpu_time() -> Result<f64> {
    let time = ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?;
    Ok(Duration::from(time).as_secs_f64())
}

fn main() -> Result<()> {
    let cores = thread::available_parallelism()?.get();
    for _ in 0..cores {
        thread::spawn(r#loop);
    }

    loop {
        let start = Instant::now();
        let before = cpu_time()?;
        sleep(1.0);
        let used = (cpu_time()? - before) / start.elapsed().as_secs_f64();
        println!("{cores} busy threads: {:.0}% CPU", used * 100.0);
    }
}
