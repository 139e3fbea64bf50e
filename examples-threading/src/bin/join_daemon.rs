//! A daemon thread that is left behind, and its own threads with it.
//!
//! Listing T3, 《Python(十) 进程、线程、协程篇》1.1.2 join&Daemon. A Rust thread is a daemon
//! unless it is joined, and `JoinHandle::join` takes no time-out. Here a thread
//! holds one end of a channel for as long as it lives, and `join` waits at the other
//! end.

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use tutorial::{seconds, sleep};

struct Thread {
    name: String,
    ended: Receiver<()>,
}

impl Thread {
    fn start(number: i32, target: impl FnOnce() + Send + 'static) -> Self {
        let (alive, ended) = mpsc::channel::<()>();
        // Python's default name, which from 3.10 on ends in the target's: `(run)`.
        let name = format!("Thread-{number}");
        thread::spawn(move || {
            target();
            drop(alive);
        });
        Self { name, ended }
    }

    fn join(&self, timeout: Duration) {
        // Nothing is ever sent. The error says whether the thread has ended or the time
        // is up, which Python's join does not say either.
        self.ended.recv_timeout(timeout).unwrap_err();
    }
}

fn run(n: i32) {
    println!("[{n}]---running---\n");
    sleep(2.0);
    println!("---done----");
}

// The listing calls it `main`. It is Thread-1, so it starts Thread-2 to Thread-6.
fn main_thread() {
    for i in 0..5 {
        let t = Thread::start(i + 2, move || run(i));
        t.join(seconds(1.0));
        println!("starting thread {}", t.name);
    }
}

fn main() {
    let m = Thread::start(1, main_thread);
    m.join(seconds(2.0));
    println!("---main thread done----");
    // The threads that still run end here with the program. The first `run` may have
    // printed that it is done just before.
}
