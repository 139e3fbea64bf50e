//! A pipe of the system, by a bare fork and by the library, the unused ends closed.
//!
//! Listing D29, 达内 course notes, 匿名管道 (prose). Two claims of the notes do not hold:
//! the kernel's buffer has 64 KiB, not 4, since Linux 2.6.11; and a process that has
//! both ends can read what it wrote itself.

use std::io::{self, PipeReader, PipeWriter, Read, Write};

use multiprocessing::Process;
use nix::sys::wait::wait;
use nix::unistd::{ForkResult, fork, getpid};
use tutorial::Result;

fn read(mut reader: PipeReader) -> Result<()> {
    let mut first = [0; 5];
    reader.read_exact(&mut first)?;
    println!("{} read: {}", getpid(), first.escape_ascii());
    // What was read is gone: this is the rest.
    let mut rest = String::new();
    reader.read_to_string(&mut rest)?;
    println!("{} read: {rest}", getpid());
    Ok(())
}

fn write(mut writer: PipeWriter) -> Result<()> {
    write!(writer, "hello from {}", getpid())?;
    Ok(())
}

fn by_fork() -> Result<()> {
    let (reader, writer) = io::pipe()?;
    #[expect(unsafe_code, reason = "fork is the lesson")]
    // SAFETY: this process has only the one thread.
    let pid = unsafe { fork() }?;
    match pid {
        ForkResult::Child => {
            drop(writer); // Otherwise this copy would keep the pipe from ending.
            read(reader)?;
            std::process::exit(0);
        }
        ForkResult::Parent { .. } => {
            drop(reader); // Otherwise it could write when no reader is left.
            write(writer)?;
            wait()?;
        }
    }
    Ok(())
}

fn by_processes() -> Result<()> {
    let (reader, writer) = io::pipe()?;
    // `start` closes what the child has captured in this process: first the end to
    // write to, so that the second child does not inherit it and wait for its own
    // end.
    let mut p1 = Process::new(move || write(writer));
    p1.start()?;
    let mut p2 = Process::new(move || read(reader));
    p2.start()?;
    p1.join()?;
    p2.join()?;
    Ok(())
}

fn main() -> Result<()> {
    by_fork()?;
    by_processes()
}
