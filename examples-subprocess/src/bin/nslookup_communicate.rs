//! Types three lines into `nslookup` and shows what it answers. An argument names
//! another host.
//!
//! Listing N7, notebook, 通过communicate()方法输入.

use std::env;
use std::process::{Command, Stdio};

use subprocess::Popen;
use tutorial::Result;

fn main() -> Result<()> {
    let host = env::args().nth(1).unwrap_or("python.org".into());
    println!("$ nslookup");
    let mut p = Popen::new(
        Command::new("nslookup")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )?;
    let (output, _err) = p.communicate(format!("set q=mx\n{host}\nexit\n"))?;
    println!("{}", String::from_utf8_lossy(output.unwrap_or_default()));
    println!("Exit code: {}", p.returncode().unwrap());
    Ok(())
}
