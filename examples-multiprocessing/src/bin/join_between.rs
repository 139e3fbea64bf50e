//! The second process starts when the first has ended.
//!
//! Listing N4, notebook, My name is.

use multiprocessing::Process;
use tutorial::{Result, sleep};

fn func_one(name: &str) {
    println!("My name is {name}");
    sleep(2.0);
    println!("This is func_one");
}

fn func_two(name: &str) {
    println!("My name is {name}");
    sleep(2.0);
    println!("This is func_two");
}

fn main() -> Result<()> {
    let mut p_one = Process::new(|| func_one("Jack"));
    let mut p_two = Process::new(|| func_two("Mick"));
    p_one.start()?;
    p_one.join()?;
    p_two.start()?;
    println!("I am main process");
    Ok(())
}
