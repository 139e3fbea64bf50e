//! Wakes as many of ten waiting threads as you say at the `>>>>`; `q` ends it.
//!
//! Listing T9, 《Python(十) 进程、线程、协程篇》1.1.6 条件(Condition). A thread can wake without
//! having been notified, so each waits until there is a call for it. At `q` Python
//! waits for the threads that nobody will wake any more; this program leaves them
//! behind.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex};
use std::thread;

use tutorial::Result;

/// The number of threads that were called and have not run yet.
static CALLS: Mutex<usize> = Mutex::new(0);
static CON: Condvar = Condvar::new();

fn run(n: i32) {
    let calls = CALLS.lock().unwrap();
    // A call is not lost between the look and the wait: it needs the lock, which this
    // thread gives up only once it waits.
    let mut calls = CON.wait_while(calls, |calls| *calls == 0).unwrap();
    println!("run the thread :{n}");
    *calls -= 1;
    CON.notify_all();
}

fn main() -> Result<()> {
    for i in 0..10 {
        // Not in a scope: its end would wait for the threads that are not woken.
        thread::spawn(move || run(i));
    }

    let mut waiting = 10;
    loop {
        print!(">>>>");
        io::stdout().flush()?;
        let mut inp = String::new();
        if io::stdin().read_line(&mut inp)? == 0 {
            println!(); // The input has ended, in the middle of this line.
            return Ok(());
        }
        if inp.trim() == "q" {
            return Ok(());
        }
        let Ok(n) = inp.trim().parse::<usize>() else {
            println!("How many threads shall run? A number such as 3, or q to end.");
            continue;
        };
        let n = n.min(waiting); // There are no more to call.
        waiting -= n;
        let mut calls = CALLS.lock().unwrap();
        *calls = n;
        CON.notify_all();
        // Until they have run, or `q` could cut them short.
        drop(CON.wait_while(calls, |calls| *calls > 0).unwrap());
    }
}
