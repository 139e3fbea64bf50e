//! `ls -l | wc`: the output of one child is the input of the next.
//!
//! Listing V8, 《Python标准库（中）》子进程的文本流控制. Taking the pipe out of `child1` moves it
//! into the second command, which closes it as soon as `wc` has it. Python's parent
//! keeps its copy open: if `wc` ended first, `ls` would wait for ever on a full
//! pipe.

use std::process::{Command, Stdio};

use subprocess::Popen;
use tutorial::Result;

fn main() -> Result<()> {
    let mut child1 =
        Popen::new(Command::new("ls").arg("-l").stdout(Stdio::piped()))?;
    let mut child2 = Popen::new(
        Command::new("wc")
            .stdin(child1.stdout.take().unwrap())
            .stdout(Stdio::piped()),
    )?;
    let (out, err) = child2.communicate("")?;
    println!("{:?}", (out.map(String::from_utf8_lossy), err));
    Ok(())
}
