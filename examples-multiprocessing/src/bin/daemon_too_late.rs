//! A process that runs cannot become a daemon: main fails, the child still runs.
//!
//! Listing D11, 达内 course notes, 守卫进程. The listing has lost its line 14, which its
//! traceback shows: `p.daemon = True`.

use multiprocessing::Process;
use tutorial::{Result, ctime, sleep};

fn t1(interval: u32) {
    for _ in 0..interval {
        sleep(1.0);
        println!("child {}", ctime());
    }
}

fn main() -> Result<()> {
    let mut p = Process::new(|| t1(5));
    p.start()?;
    p.set_daemon(true)?;
    Ok(())
}
