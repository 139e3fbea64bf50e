//! A process that writes tells the processes that read when there is something.
//!
//! Listing D35, 达内 course notes, E.事件 and 事件 event (prose).

use multiprocessing::{Event, Process, RawValue, current_process};
use tutorial::{Result, seconds, sleep};

fn block(e: &Event, data: &RawValue<i32>) {
    let me = current_process();
    println!("{}: wait, is_set {}", me.name(), e.is_set());
    e.wait();
    println!("{}: {}", me.name(), data.get());
}

fn block_timeout(e: &Event, data: &RawValue<i32>) {
    let me = current_process();
    println!("{}: wait, is_set {}", me.name(), e.is_set());
    if !e.wait_timeout(seconds(1.0)) {
        println!("{}: nothing yet", me.name());
        e.wait();
    }
    println!("{}: {}", me.name(), data.get());
}

fn main() -> Result<()> {
    let e = &Event::new()?;
    let data = &RawValue::new(0)?;

    let mut readers = [
        Process::builder().name("block").target(|| block(e, data)),
        Process::builder()
            .name("block too")
            .target(|| block(e, data)),
        Process::builder()
            .name("nonblock")
            .target(|| block_timeout(e, data)),
    ];
    for p in &mut readers {
        p.start()?;
    }
    sleep(2.0);
    data.set(42);
    println!("main: set");
    e.set();
    for p in &readers {
        p.join()?;
    }
    e.clear();
    println!("main: is_set {}", e.is_set());
    Ok(())
}
