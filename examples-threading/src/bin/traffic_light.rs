//! Cars at a traffic light, which is an event.
//!
//! Listing T7, 《Python(十) 进程、线程、协程篇》1.1.5 事件(event). Ctrl+C ends it.

use std::thread;

use threading::Event;
use tutorial::sleep;

fn light(event: &Event) {
    if !event.is_set() {
        event.set();
    }
    let mut count = 0;
    loop {
        if count < 10 {
            println!("\x1b[42;1m---green light on ---\x1b[0m");
        } else if count < 13 {
            println!("\x1b[43;1m---yellow light on ---\x1b[0m");
        } else if count < 20 {
            if event.is_set() {
                event.clear();
            }
            println!("\x1b[41;1m --red light on -- \x1b[0m");
        } else {
            count = 0;
            event.set();
        }
        sleep(1.0);
        count += 1;
    }
}

fn car(n: i32, event: &Event) {
    loop {
        sleep(rand::random_range(0..10).into());
        if event.is_set() {
            println!("car [{n}] is running..");
        } else {
            println!("car [{n}] is waiting for the red light..");
        }
    }
}

fn main() {
    let event = &Event::new();

    thread::scope(|s| {
        s.spawn(|| light(event));
        for i in 0..3 {
            s.spawn(move || car(i, event));
        }
    });
}
