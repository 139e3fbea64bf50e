//! The real user and group id of this process.
//!
//! Listing V21, 《Python标准库（中）》 1、进程信息. Run it as yourself and under `sudo`.

use nix::unistd::{getgid, getuid};

fn main() {
    println!("{}", getuid());
    println!("{}", getgid());
}
