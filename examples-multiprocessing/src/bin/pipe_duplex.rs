//! Two processes talk over the two ends of a pipe.
//!
//! Listing V26, 《Python标准库（中）》 2、Pipe和Queue.

use multiprocessing::{Connection, Process, pipe};
use tutorial::Result;

fn proc1(pipe: &Connection) -> Result<()> {
    pipe.send("hello")?;
    println!("proc1 rec: {}", pipe.recv::<String>()?);
    Ok(())
}

fn proc2(pipe: &Connection) -> Result<()> {
    println!("proc2 rec: {}", pipe.recv::<String>()?);
    pipe.send("hello, too")?;
    Ok(())
}

fn main() -> Result<()> {
    let pipe = pipe(true)?;

    let mut p1 = Process::new(|| proc1(&pipe.0));
    let mut p2 = Process::new(|| proc2(&pipe.1));
    p1.start()?;
    p2.start()?;
    p1.join()?;
    p2.join()?;
    Ok(())
}
