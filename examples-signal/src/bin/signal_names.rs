//! The numbers of two signals.
//!
//! Listing V10, 《Python标准库（中）》定义信号名. The names are the system's own: see `man 7
//! signal`.

use nix::sys::signal::Signal;

fn main() {
    println!("{}", Signal::SIGALRM as i32);
    println!("{}", Signal::SIGCONT as i32);
}
