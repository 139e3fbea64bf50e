//! A `Process` before, while and after it runs, and the errors of its use.
//!
//! Listing D18, 达内 course notes, 创建 Process 对象 and 附录, Process 类 (prose). Python's
//! keyword arguments are options of `Process::builder`; those of the function
//! itself, `args` and `kwargs`, are what its closure captures.

use std::fmt::Display;

use multiprocessing::{Process, current_process};
use tutorial::{Result, seconds, sleep};

fn f(pause: f64) {
    sleep(pause);
}

fn attributes(p: &Process) {
    println!("name: {}  daemon: {}", p.name(), p.daemon());
    println!("pid: {:?}  ident: {:?}", p.pid(), p.ident());
    println!("is_alive: {}  exitcode: {:?}", p.is_alive(), p.exitcode());
    println!("sentinel: {}", p.sentinel().is_ok());
    // The key is a secret: its Debug does not show it.
    let inherited = p.authkey() == current_process().authkey();
    println!("authkey: {:?}  inherited: {inherited}", p.authkey());
}

fn refused<T>(what: &str, result: Result<T, impl Display>) {
    match result {
        Ok(_) => println!("{what}: not refused"),
        Err(error) => println!("{what}: {error}"),
    }
}

/// Runs as a daemon: its child would be one as well, but it may not have any.
fn parent() {
    let mut child = Process::new(|| f(1.0));
    println!("name: {}  daemon: {}", child.name(), child.daemon());
    refused("a daemon's child", child.start());
}

fn main() -> Result<()> {
    let mut p = Process::new(|| f(1.0));
    attributes(&p);
    refused("join before start", p.join());

    p.start()?;
    attributes(&p);
    refused("start twice", p.start());
    refused("join oneself", current_process().join());
    refused("close early", p.close());

    // A join that timed out looks like one that did not, but for the exit code. In
    // Python it returns None either way.
    println!("join(0.2): {}", p.join_timeout(seconds(0.2))?);
    println!("exitcode: {:?}", p.exitcode());
    p.join()?;
    p.join()?; // As often as one likes.
    attributes(&p);

    let mut p = Process::builder()
        .name("Jack")
        .daemon(true)
        .target(|| f(1.0));
    p.start()?;
    p.terminate()?;
    p.join()?;
    attributes(&p);
    p.close()?;
    refused("join after close", p.join());

    let mut p = Process::builder().daemon(true).target(parent);
    p.start()?;
    p.join()?;
    Ok(())
}
