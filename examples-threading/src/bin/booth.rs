//! Ten booths sell one hundred tickets from one counter.
//!
//! Listing V17, 《Python标准库（中）》多线程售票以及同步. Python keeps the counter and its lock side
//! by side and trusts every caller to pair them; here the `Mutex` owns the counter.
//! In Python only the counter has to be `global`: the lock is not assigned to.

use std::process;
use std::sync::Mutex;
use std::thread;

use tutorial::sleep;

fn do_chore() {
    sleep(0.5);
}

fn booth(tid: i32, tickets: &Mutex<i32>) {
    loop {
        let mut i = tickets.lock().unwrap();
        if *i != 0 {
            *i -= 1;
            println!("{tid} :now left: {i}");
            do_chore();
        } else {
            println!("Thread_id {tid}  No more tickets");
            // Ends every thread at once, this one with the lock held, so that no other
            // booth can say that the tickets are gone.
            process::exit(0);
        }
        drop(i); // Without this the booth would do its other chores with the lock held.
        do_chore();
    }
}

fn main() {
    let tickets = &Mutex::new(100);

    thread::scope(|s| {
        for k in 0..10 {
            s.spawn(move || booth(k, tickets));
        }
    });
}
