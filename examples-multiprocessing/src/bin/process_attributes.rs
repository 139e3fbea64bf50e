//! What can be asked of a `Process` before, while and after it runs, and the errors of
//! its use.
//!
//! Listing D18, 达内 course notes, day01 创建 Process 对象 and 附录 Process 类 (prose).

use multiprocessing::{Process, current_process};
use tutorial::{Result, sleep};

fn f() {
    sleep(1.0);
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

fn main() -> Result<()> {
    let mut p = Process::new(f);
    attributes(&p);
    println!(
        "join before start: {:?}",
        p.join().map_err(|e| e.to_string())
    );

    p.start()?;
    attributes(&p);
    println!("start twice: {:?}", p.start().map_err(|e| e.to_string()));
    let oneself = current_process().join();
    println!("join oneself: {:?}", oneself.map_err(|e| e.to_string()));
    println!("close early: {:?}", p.close().map_err(|e| e.to_string()));

    p.join()?;
    attributes(&p);

    let mut p = Process::builder().name("Jack").daemon(true).target(f);
    p.start()?;
    p.terminate()?;
    p.join()?;
    attributes(&p);
    p.close()?;
    println!(
        "join after close: {:?}",
        p.join().map_err(|e| e.to_string())
    );
    Ok(())
}
