//! Five children in a row, each fed with what the one before it wrote.
//!
//! Listing N30, notebook, `demon_communicate.py`. It forgets to append the children to
//! their list, prints inside the loop that feeds them, and asks for a shell that on
//! Linux would start `python` without its script. This is what it means.

use std::process::{Command, Stdio};

use subprocess::{Popen, child_program};
use tutorial::Result;

/// What the child wrote. Calling `communicate` again returns what the first call
/// captured.
fn output(prcs: &mut Popen) -> Result<String> {
    let stdout = prcs.communicate("")?.0.unwrap_or_default();
    Ok(String::from_utf8_lossy(stdout).into_owned())
}

fn main() -> Result<()> {
    let mut processes = Vec::new();
    let psum = 5;
    for _ in 0..psum {
        processes.push(Popen::new(
            Command::new(child_program("increment_first"))
                .stdout(Stdio::piped())
                .stdin(Stdio::piped())
                .stderr(Stdio::piped()),
        )?);
    }
    processes[0].communicate("0 bouquet of flowers!")?;
    for after in 1..psum {
        let output = output(&mut processes[after - 1])?;
        processes[after].communicate(output)?;
    }
    println!("\nSum of Processes : {psum}");
    println!();
    for item in &mut processes {
        println!("{}", output(item)?);
    }
    Ok(())
}
