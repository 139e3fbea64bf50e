//! Runs `nslookup` as if it were typed. An argument names another host.
//!
//! Listing N6, notebook, 运行命令nslookup.

use std::env;
use std::process::Command;

use subprocess::call;
use tutorial::Result;

fn main() -> Result<()> {
    let host = env::args().nth(1).unwrap_or("www.python.org".into());
    println!("$ nslookup {host}");
    let r = call(Command::new("nslookup").arg(&host))?;
    println!("Exit code: {r}");
    Ok(())
}
