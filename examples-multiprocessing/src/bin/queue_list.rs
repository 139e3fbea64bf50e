//! A list crosses a queue.
//!
//! Listing T18, 《Python(十) 进程、线程、协程篇》 1.2.2 进程间通讯. Python's list takes values of any
//! type; here an enum names the types that occur. The quotes that the listing has
//! lost are put back.

use std::fmt;

use multiprocessing::{Process, Queue};
use serde::{Deserialize, Serialize};
use tutorial::Result;

#[derive(Serialize, Deserialize)]
enum Item {
    Int(i32),
    None,
    Str(String),
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::None => f.write_str("None"),
            Self::Str(text) => text.fmt(f),
        }
    }
}

fn f(q: &Queue<Vec<Item>>) -> Result<()> {
    q.put(vec![Item::Int(42), Item::None, Item::Str("hello".into())])?;
    Ok(())
}

fn main() -> Result<()> {
    let q = &Queue::new(0)?;
    let mut p = Process::new(|| f(q));
    p.start()?;
    println!("{:?}", q.get()?);
    p.join()?;
    Ok(())
}
