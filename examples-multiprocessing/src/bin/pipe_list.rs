//! A list crosses a pipe.
//!
//! Listing T19, 《Python(十) 进程、线程、协程篇》 1.2.2 进程间通讯. A tuple can hold values of
//! different types; it prints with round brackets. The quotes that the listing has
//! lost are put back.

use multiprocessing::{Connection, Process, pipe};
use tutorial::Result;

fn f(conn: Connection) -> Result<()> {
    conn.send(&(42, None::<()>, "hello"))?;
    conn.close();
    Ok(())
}

fn main() -> Result<()> {
    let (parent_conn, child_conn) = pipe(true)?;
    // The end moves to the child, and `start` closes the parent's copy, so that only
    // the child keeps the pipe open. In Python the parent's copy stays open.
    let mut p = Process::new(|| f(child_conn));
    p.start()?;
    println!("{:?}", parent_conn.recv::<(i32, Option<()>, String)>()?);
    p.join()?;
    Ok(())
}
