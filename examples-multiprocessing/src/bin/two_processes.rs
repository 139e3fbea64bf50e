//! A father and two sons, each with his own id and that of his father.
//!
//! Listing N3, notebook, `This is son_one`.

use std::os::unix::process::parent_id;
use std::process;

use multiprocessing::Process;
use tutorial::Result;

fn func_one() {
    println!("This is son_one");
    println!("son_one:{}  father:{}", process::id(), parent_id());
}

fn func_two() {
    println!("This is son_two");
    println!("son_two:{}  father:{}", process::id(), parent_id());
}

fn main() -> Result<()> {
    let mut p_one = Process::new(func_one);
    let mut p_two = Process::new(func_two);
    p_one.start()?;
    p_two.start()?;
    println!("son:{}  father:{}", process::id(), parent_id());
    // At its end the father waits for his sons.
    Ok(())
}
