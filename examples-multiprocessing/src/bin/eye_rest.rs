//! A process reminds you every seven and a half hours to rest your eyes, without end.
//!
//! Listing D12, 达内 course notes, `CallTime`, and its exercise 多进程定期器, which asks for
//! the reminder's process id and name as well.

use multiprocessing::{Process, current_process};
use tutorial::{Result, ctime, sleep};

fn call_time() {
    loop {
        println!("Now this is {}", ctime());
        let me = current_process();
        println!(
            "No more coding, rest your eyes ({}, {})",
            me.pid(),
            me.name()
        );
        sleep(27000.0);
    }
}

fn main() -> Result<()> {
    println!("you are tired, you need some time to relax");
    let mut p = Process::new(call_time);
    p.set_daemon(false)?;
    p.start()?;
    p.join()?;
    Ok(())
}
