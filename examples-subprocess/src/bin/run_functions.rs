//! Five functions run the same child, `protest`, to its end.
//!
//! Listing N27, notebook, subprocess模块的基本函数. Given a list, a shell on Linux would
//! start `python` alone, so `getstatusoutput` and `getoutput` are given a command
//! line. `check_call` returns 0 or raises in Python; here that is `()` or an error.
//! The other arguments (`input`, `timeout`, `stdin`, `shell`) are in
//! `popen_options.rs`.

use std::process::Command;

use subprocess::{
    call, check_call, check_output, child_program, getoutput, getstatusoutput, quote,
};
use tutorial::Result;

fn main() -> Result<()> {
    let protest = child_program("protest");

    println!("call () test: {}", call(&mut Command::new(&protest))?);
    println!();
    check_call(&mut Command::new(&protest))?;
    println!("check_call() test: 0");
    println!();
    let line = quote(&protest); // shlex.quote
    println!("getstatusoutput() test: {:?}", getstatusoutput(&line)?);
    println!();
    println!("getoutput() test: {}", getoutput(&line)?);
    println!();
    let output = check_output(&mut Command::new(&protest))?;
    let output = String::from_utf8_lossy(&output);
    println!("check_output() test: {output:?}");
    Ok(())
}
