//! A daemon thread that is left behind, and its own threads with it.
//!
//! Listing T3, 《Python(十) 进程、线程、协程篇》1.1.2. A Rust thread is a daemon
//! unless somebody joins it, and `JoinHandle::join` takes no time-out: here a thread
//! holds one end of a channel for as long as it lives, and who joins waits at the
//! other.

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
        // Python's default name; from 3.10 on it is followed by the target's,
        // `(run)`.
        let name = format!("Thread-{number}");
        thread::spawn(move || {
            target();
            drop(alive);
        });
        Self { name, ended }
    }

    fn join(&self, timeout: Duration) {
        // Nothing is ever sent: an error is the news, that the thread has dropped
        // its end or that the time is up. Python's join does not say which either.
        let _ = self.ended.recv_timeout(timeout);
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
    // Whoever still runs ends here: the first `run` may just have said that it is
    // done.
}
