//! The priority of a process: 19 yields to everybody, -20 to nobody.
//!
//! Listing D16, 达内 course notes, os 模块设置优先级 (exercise).

use rustix::process::{getpriority_process, nice, setpriority_process};
use tutorial::Result;

fn main() -> Result<()> {
    println!("priority: {}", getpriority_process(None)?);
    println!("5 nicer: {}", nice(5)?);
    setpriority_process(None, 15)?;
    println!("set to 15: {}", getpriority_process(None)?);
    // Only root may be less nice again.
    match nice(-10) {
        Ok(now) => println!("10 less nice: {now}"),
        Err(error) => println!("10 less nice: refused: {error}"),
    }
    Ok(())
}
