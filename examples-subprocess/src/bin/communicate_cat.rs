//! Gives `vamei` to `cat` on its standard input.
//!
//! Listing V9, 《Python标准库（中）》子进程的文本流控制. Python 3 wants the bytes `b"vamei"`.

use std::process::{Command, Stdio};

use subprocess::Popen;
use tutorial::Result;

fn main() -> Result<()> {
    let mut child = Popen::new(Command::new("cat").stdin(Stdio::piped()))?;
    child.communicate("vamei")?;
    Ok(())
}
