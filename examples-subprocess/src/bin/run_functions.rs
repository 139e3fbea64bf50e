//! Five functions run the same child, `protest`, to its end.
//!
//! Listing N27, notebook, 21days 进程. `call` is `Command::status`. What Python gives the
//! shell as a list would on Linux start `python` alone; the two functions that take a
//! shell's command line get one.

use std::process::{Command, ExitCode};

use subprocess::{
    ReturnCode, SubprocessError, check_call, check_output, child_program, getoutput,
    getstatusoutput, not_started, report,
};

fn run() -> Result<(), SubprocessError> {
    let protest = child_program("protest");
    // A shell takes what stands in single quotes as it is (`shlex.quote` in Python).
    let cmd = protest.to_string_lossy().replace('\'', r"'\''");
    let cmd = format!("'{cmd}'");

    let rc = Command::new(&protest)
        .status()
        .map_err(not_started("protest"))?;
    println!("call () test: {}", rc.returncode());
    println!();
    // Python's check_call returns 0, the one code that is no error.
    let () = check_call(&mut Command::new(&protest))?;
    println!("check_call() test: 0");
    println!();
    println!("getstatusoutput() test: {:?}", getstatusoutput(&cmd)?);
    println!();
    println!("getoutput() test: {}", getoutput(&cmd)?);
    println!();
    let output = check_output(&mut Command::new(&protest))?;
    println!(
        "check_output() test: {:?}",
        String::from_utf8_lossy(&output)
    );
    Ok(())
}

fn main() -> ExitCode {
    report(run())
}
