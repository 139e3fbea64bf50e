//! Parent and child each count in a global of their own, without end.
//!
//! Listing D5, 达内 course notes, 全局变量在多个进程中不共享. Rust changes a global only through a
//! type that threads could share. Processes do not share even that.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use multiprocessing::Process;
use tutorial::{Result, sleep};

static G_NUM: AtomicI32 = AtomicI32::new(100);

fn get_time(interval: f64) {
    loop {
        G_NUM.fetch_add(100, Relaxed);
        sleep(interval);
        println!("in child num is {}", G_NUM.load(Relaxed));
    }
}

fn main() -> Result<()> {
    let mut p = Process::new(|| get_time(1.0));
    p.start()?;

    loop {
        G_NUM.fetch_add(1, Relaxed);
        println!("Current num is {}", G_NUM.load(Relaxed));
        sleep(1.0);
    }
}
