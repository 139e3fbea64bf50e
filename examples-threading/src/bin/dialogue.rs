//! John and Smith talk, and an event says whose turn it is.
//!
//! Listing N25, notebook, threading模块的event对象. As in Python the pauses do part of
//! the work: each man sleeps a second, by which time the other has cleared the
//! event.

use std::thread;

use threading::Event;
use tutorial::sleep;

struct MyThreada<'a> {
    name: &'a str,
}

impl MyThreada<'_> {
    fn run(&self, evt: &Event) {
        evt.wait();
        println!("{} :Good morning", self.name);
        evt.clear();
        sleep(1.0);
        evt.set();
        sleep(1.0);
        evt.wait();
        println!("{} :I am fine, thank you", self.name);
    }
}

struct MyThreadb<'a> {
    name: &'a str,
}

impl MyThreadb<'_> {
    fn run(&self, evt: &Event) {
        println!("{} :Good Morning", self.name);
        evt.set();
        sleep(1.0);
        evt.wait();
        println!("{} :How are you?", self.name);
        evt.clear();
        sleep(1.0);
        evt.set();
    }
}

fn main() {
    let evt = &Event::new();
    let john = MyThreada { name: "John" };
    let smith = MyThreadb { name: "Smith" };

    thread::scope(|s| {
        s.spawn(move || john.run(evt));
        s.spawn(move || smith.run(evt));
    });
}
