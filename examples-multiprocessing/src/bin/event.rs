//! A process that writes tells the processes that read when there is something.
//!
//! Listing D35, 达内 course notes, day02 事件 and day03 event (prose).

use multiprocessing::{Event, Process, RawValue, current_process};
use tutorial::{Result, seconds, sleep};

fn block(e: &Event, data: &RawValue<i32>) {
    let name = current_process().name().to_string();
    println!("{name}: wait, is_set {}", e.is_set());
    e.wait();
    println!("{name}: {}", data.get());
}

fn block_timeout(e: &Event, data: &RawValue<i32>) {
    let name = current_process().name().to_string();
    println!("{name}: wait, is_set {}", e.is_set());
    if !e.wait_timeout(seconds(1.0)) {
        println!("{name}: nothing yet");
        e.wait();
    }
    println!("{name}: {}", data.get());
}

fn main() -> Result<()> {
    let e = Event::new()?;
    let data = RawValue::new(0)?;

    let builder = Process::builder();
    let mut readers = [
        builder.clone().name("block").target(|| block(&e, &data)),
        builder
            .clone()
            .name("block too")
            .target(|| block(&e, &data)),
        builder.name("nonblock").target(|| block_timeout(&e, &data)),
    ];
    for p in &mut readers {
        p.start()?;
    }
    sleep(2.0);
    data.set(42);
    e.set();
    println!("main: set");
    for p in &readers {
        p.join()?;
    }
    e.clear();
    println!("main: is_set {}", e.is_set());
    Ok(())
}
