//! Two threads print the squares of 1 to 5 and of 16 to 20.
//!
//! Listing N18, notebook, 21days. Python waits for its threads before it ends. Rust
//! does not, so the scope does.

use std::thread;

fn thrfun(x: i32, y: i32) {
    for i in x..y {
        println!("{}:", i * i);
    }
}

fn main() {
    thread::scope(|s| {
        s.spawn(|| thrfun(1, 6));
        s.spawn(|| thrfun(16, 21));
    });
}
