//! A parent and its fork on the two ends of a pipe, each with the other end closed.
//!
//! Listing D29, 达内 course notes, day02 and 附录 匿名管道 (prose).

use std::io::{self, Read, Write};

use nix::sys::wait::wait;
use nix::unistd::{ForkResult, fork, getpid};
use tutorial::Result;

fn main() -> Result<()> {
    let (mut reader, mut writer) = io::pipe()?;
    #[expect(unsafe_code, reason = "fork is the lesson")]
    // SAFETY: this process has only the one thread.
    let pid = unsafe { fork() }?;
    match pid {
        ForkResult::Child => {
            // Or its own copy would keep the pipe from ending, and it would read on
            // for ever.
            drop(writer);
            let mut said = String::new();
            reader.read_to_string(&mut said)?;
            println!("child {} read: {said}", getpid());
        }
        ForkResult::Parent { .. } => {
            // Or it would go on writing when nobody reads any more.
            drop(reader);
            write!(writer, "hello from {}", getpid())?;
            drop(writer);
            wait()?;
        }
    }
    Ok(())
}
