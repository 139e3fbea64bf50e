//! Ten booths sell one hundred tickets, each booth a process.
//!
//! Listing V28, 《Python标准库（中）》 多线程程序更改为多进程程序, from V17. There `os._exit` ends all
//! booths, because they are threads of one process. Here each booth ends by itself
//! and gives the lock back first. Otherwise the others would have to wait until its
//! end is noticed.

use multiprocessing::{Process, Value};
use tutorial::{Result, sleep};

fn do_chore() {
    sleep(0.5);
}

fn booth(tid: i32, tickets: &Value<i32>) {
    loop {
        let mut i = tickets.lock();
        if *i != 0 {
            *i -= 1;
            println!("{tid} :now left: {}", *i);
            do_chore();
        } else {
            println!("Process_id {tid}  No more tickets");
            return;
        }
        drop(i); // Otherwise the booth would do its other chores with the lock held.
        do_chore();
    }
}

fn main() -> Result<()> {
    let tickets = &Value::new(100)?;

    let mut booths = Vec::new();
    for k in 0..10 {
        let mut new_process = Process::new(move || booth(k, tickets));
        new_process.start()?;
        booths.push(new_process);
    }
    for new_process in booths {
        new_process.join()?;
    }
    Ok(())
}
