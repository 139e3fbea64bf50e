//! Text into a child's standard input, and its output and errors apart.
//!
//! Listing N29, notebook, `demon_Popen.py`. Its `protest8.py` is not shown; here a
//! shell prints `hello world!~` and repeats what it reads on standard error, so that
//! both streams have something to show. Calling `communicate` again returns the same
//! output.

use std::process::{Command, Stdio};

use subprocess::Popen;
use tutorial::Result;

fn main() -> Result<()> {
    let mut prcs = Popen::new(
        Command::new("/bin/sh")
            .args(["-c", "echo 'hello world!~'; cat >&2"])
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped()),
    )?;
    prcs.communicate("These strings are from stdin.")?;
    println!("subprocess pid: {}", prcs.pid());
    println!("\nSTDOUT:");
    let stdout = prcs.communicate("")?.0.unwrap_or_default();
    println!("{}", String::from_utf8_lossy(stdout));
    println!("STDERR:");
    let stderr = prcs.communicate("")?.1.unwrap_or_default();
    println!("{}", String::from_utf8_lossy(stderr));
    Ok(())
}
