//! A pipe with one direction: one end only receives, the other only sends.
//!
//! Listing V29, 《Python标准库（中）》 创建单向管道 (prose), and 达内 course notes, 双工. The notes
//! say of every pipe that an end does one of the two; the ends of a duplex pipe, as
//! in V26, do both.

use multiprocessing::{Connection, Process, RecvError, pipe};
use tutorial::Result;

fn proc1(conn2: Connection) -> Result<()> {
    if let Err(error) = conn2.recv::<String>() {
        println!("conn2.recv(): {error}");
    }
    conn2.send("hello")?;
    conn2.send("hello, too")?;
    Ok(())
}

fn main() -> Result<()> {
    let (conn1, conn2) = pipe(false)?;
    if let Err(error) = conn1.send("hello") {
        println!("conn1.send(): {error}");
    }

    // The end moves to the child. In Python the parent must close its copy:
    // otherwise the last `recv` would wait for ever.
    let mut p1 = Process::new(|| proc1(conn2));
    p1.start()?;
    loop {
        match conn1.recv::<String>() {
            Ok(message) => println!("conn1.recv(): {message}"),
            Err(RecvError::EndOfFile) => break, // Python: EOFError
            Err(error) => return Err(error.into()),
        }
    }
    println!("the last sender is gone");
    p1.join()?;
    Ok(())
}
