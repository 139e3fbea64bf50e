//! Ten processes fill one dict and one list, which live in a manager's process.
//!
//! Listing T21, 《Python(十) 进程、线程、协程篇》 multiprocessing Manager 实现内存共享.

use multiprocessing::Process;
use multiprocessing::managers::{DictProxy, ListProxy, Value, manager};
use tutorial::Result;

fn f(d: &DictProxy, l: &ListProxy) -> Result<()> {
    d.set(1, 1)?;
    d.set(2, 2)?;
    d.set(0.25, Value::None)?;

    l.append(1)?;
    println!("{:?}", l.value()?);
    Ok(())
}

fn main() -> Result<()> {
    let manager = manager()?;
    let d = &manager.dict::<Value, Value>([])?;

    let l = &manager.list(0..5)?;
    let mut p_list = Vec::new();

    for _ in 0..10 {
        let mut p = Process::new(|| f(d, l));
        p.start()?;
        p_list.push(p);
    }

    for res in p_list {
        res.join()?;
    }

    println!("{:?}", d.value()?);
    println!("{:?}", l.value()?);
    Ok(())
}
