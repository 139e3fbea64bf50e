//! The module, the parent's id and the own id, seen from main and from the child.
//!
//! Listing T17, 《Python(十) 进程、线程、协程篇》1.2.1. The listing has lost its quotes
//! and main's own call of `info`, whose title stands in `f`: here each has a title of
//! its own. Python's module is `__main__`; Rust's has the program's name.

use std::os::unix::process::parent_id;
use std::process;

use multiprocessing::Process;
use tutorial::Result;

fn info(title: &str) {
    println!("{title}");
    println!("module name: {}", module_path!());
    println!("parent process: {}", parent_id());
    println!("process id: {}", process::id());
    println!("\n\n");
}

fn f(name: &str) {
    info("\x1b[31;1m function f \x1b[0m");
    println!("hello {name}");
}

fn main() -> Result<()> {
    info("\x1b[31;1m main Process line \x1b[0m");
    let mut p = Process::new(|| f("bob"));
    p.start()?;
    p.join()?;
    Ok(())
}
