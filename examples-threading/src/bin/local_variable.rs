//! Local variables are each thread's own.
//!
//! Listing D50, 达内 course notes, in f2 g num is.

use std::thread;

use tutorial::sleep;

fn f1() {
    let mut g_num = 100;
    g_num += 1;
    println!("in f1 g num is {g_num}");
}

fn f2() {
    let g_num = 100;
    sleep(1.0);
    println!("in f2 g num is {g_num}");
}

fn main() {
    thread::scope(|s| {
        s.spawn(f1);
        s.spawn(f2);
    });
}
