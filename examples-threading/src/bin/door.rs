//! Staff swipe their cards to open a door that closes itself.
//!
//! Listing T8, 《Python(十) 进程、线程、协程篇》员工进公司门要刷卡. Like the listing it prints what
//! `set()` returns, in Python `None`. The door waits for ever for a sixth colleague:
//! Ctrl+C ends it.

use std::thread;

use threading::Event;
use tutorial::sleep;

fn door(door_swiping_event: &Event) {
    let mut door_open_time_counter = 0;
    loop {
        if door_swiping_event.is_set() {
            println!("\x1b[32;1m door opening...\x1b[0m");
            door_open_time_counter += 1;
        } else {
            println!("\x1b[31;1m door closed....,swipe to open.\x1b[0m");
            door_open_time_counter = 0;
            door_swiping_event.wait();
        }
        if door_open_time_counter > 3 {
            door_swiping_event.clear();
        }
        sleep(0.5);
    }
}

fn staff(n: i32, door_swiping_event: &Event) {
    println!("staff [{n}] is comming...");
    loop {
        if door_swiping_event.is_set() {
            println!("\x1b[34;1m door is opened ,passing....\x1b[0m");
            break;
        }
        println!("staff [{n}] sees door got closed,swipping the card....");
        door_swiping_event.set();
        println!("None");
        door_swiping_event.set();
        door_swiping_event.set();
        println!("after set None");
        sleep(0.5);
    }
}

fn main() {
    let door_swiping_event = &Event::new();

    thread::scope(|s| {
        s.spawn(|| door(door_swiping_event));

        for i in 0..5 {
            sleep(rand::random_range(0..3).into());
            s.spawn(move || staff(i, door_swiping_event));
        }
    });
}
