//! The module, the parent's id and the own id of a child process.
//!
//! Listing T17, 《Python(十) 进程、线程、协程篇》 下面是一个扩展示例. The quotes that the listing has
//! lost are put back; it calls `info` only in the child, whatever its title says.
//! Python's module is `__main__`; Rust's has the program's name.

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
    info("\x1b[31;1m main Process line \x1b[0m");
    println!("hello {name}");
}

fn main() -> Result<()> {
    let mut p = Process::new(|| f("bob"));
    p.start()?;
    p.join()?;
    Ok(())
}
