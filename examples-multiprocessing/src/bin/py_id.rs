//! The real user and group id of this process.
//!
//! Listing V21, 《Python标准库（中）》四 §1. Run it as yourself and under `sudo`.

use nix::unistd::{getgid, getuid};

fn main() {
    println!("{}", getuid());
    println!("{}", getgid());
}
