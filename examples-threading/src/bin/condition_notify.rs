//! Wakes as many of ten waiting threads as you say at the `>>>>`; `q` ends it.
//!
//! Listing T9, 《Python(十) 进程、线程、协程篇》1.1.6. A thread can wake without
//! having been notified, so each waits until its number is called. At `q` Python
//! waits for the threads that nobody will wake any more; this program leaves them
//! behind.

use std::io::{self, BufRead, Write};
use std::sync::{Condvar, Mutex};
use std::thread;

use tutorial::Result;

struct Numbers {
    /// How many threads have come to wait: the number of the next.
    came: usize,
    /// Lower numbers are called. Never beyond `came`: as in Python a call is not
    /// kept for those who come later.
    called: usize,
    /// How many were called and have run.
    ran: usize,
}

static CON: Mutex<Numbers> = Mutex::new(Numbers {
    came: 0,
    called: 0,
    ran: 0,
});
static CHANGED: Condvar = Condvar::new();

fn run(n: i32) {
    let mut con = CON.lock().unwrap();
    let number = con.came;
    con.came += 1;
    CHANGED.notify_all();
    // A call between the look and the wait is not lost: it needs the lock, which
    // this thread gives up only once it waits.
    con = CHANGED.wait_while(con, |con| con.called <= number).unwrap();
    println!("run the thread :{n}");
    con.ran += 1;
    CHANGED.notify_all();
}

fn main() -> Result<()> {
    for i in 0..10 {
        // Not in a scope, whose end would wait for threads that nobody will wake.
        thread::spawn(move || run(i));
    }
    // What is piped in comes sooner than ten threads do.
    let con = CON.lock().unwrap();
    drop(CHANGED.wait_while(con, |con| con.came < 10).unwrap());

    let mut lines = io::stdin().lock().split(b'\n');
    loop {
        print!(">>>>");
        io::stdout().flush()?;
        let Some(inp) = lines.next().transpose()? else {
            println!();
            break;
        };
        let inp = String::from_utf8_lossy(&inp);
        if inp.trim() == "q" {
            break;
        }
        let Ok(n) = inp.trim().parse::<usize>() else {
            println!("How many threads shall run? A number such as 3, or q to end.");
            continue;
        };
        let mut con = CON.lock().unwrap();
        con.called = con.came.min(con.called.saturating_add(n));
        CHANGED.notify_all();
    }

    // Who was called still runs; the others end with the program.
    let con = CON.lock().unwrap();
    drop(CHANGED.wait_while(con, |con| con.ran < con.called).unwrap());
    Ok(())
}
