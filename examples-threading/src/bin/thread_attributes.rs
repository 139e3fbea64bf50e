//! A thread before, while and after it runs: its name, its id, whether it is alive.
//!
//! Listing T24, 《Python(十) 进程、线程、协程篇》上述代码创建了10个线程 (prose). `isAlive` is gone
//! since Python 3.9, `setDaemon` and `getName` are deprecated since 3.10. The notebook
//! has two things wrong: a daemon *does* end with the program, and the time of `join`
//! limits the waiting, not the thread. std's `join` has one caller and no time-out. Here
//! any number of threads wait for the end of a channel of crossbeam; std's has one
//! receiver.

use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, TryRecvError, bounded};
use tutorial::{Result, seconds, sleep};

fn is_alive(ended: &Receiver<()>) -> bool {
    ended.try_recv() == Err(TryRecvError::Empty)
}

fn show(when: &str, t: &thread::Thread, ended: &Receiver<()>) {
    let (name, ident, is_alive) = (t.name(), t.id(), is_alive(ended));
    println!("{when}: name {name:?}, ident {ident:?}, is_alive {is_alive}");
}

fn main() -> Result<()> {
    // Before the start there is a name and nothing else. `spawn` consumes the builder,
    // so that no thread can be started twice, and returns the only thing that can be
    // joined. Python raises a RuntimeError in both cases.
    let builder = thread::Builder::new().name("LoopThread".into());
    println!("before: name LoopThread");

    let (alive, ended) = bounded::<()>(0);
    let t = builder.spawn(move || {
        sleep(2.0);
        drop(alive); // Nothing is ever sent: the end of the channel is the news.
    })?;
    let thread = t.thread().clone();
    show("while", &thread, &ended);
    ended.recv_timeout(seconds(1.0)).unwrap_err();
    println!("join(1.0): is_alive {}", is_alive(&ended));
    thread::scope(|s| {
        for joiner in ["one", "another"] {
            let ended = ended.clone();
            s.spawn(move || {
                ended.recv().unwrap_err();
                println!("join() by {joiner} thread: it has ended");
            });
        }
    });
    t.join().unwrap();
    show("after", &thread, &ended);

    // Python would call this one `Thread-1`. Its handle is sent to itself.
    let (send, own) = bounded::<JoinHandle<()>>(1);
    let (alive, ended) = bounded::<()>(0);
    let t = thread::spawn(move || {
        let t = own.recv().unwrap();
        println!("no name given: {:?}", t.thread().name());
        // std's join would panic here, Python's raises a RuntimeError.
        if t.thread().id() == thread::current().id() {
            println!("join oneself: refused");
        }
        drop(alive);
    });
    send.send(t).unwrap();
    ended.recv().unwrap_err();

    // What `spawn` starts is a daemon: it ends here, with main.
    thread::spawn(|| {
        sleep(60.0);
        println!("never printed");
    });
    println!("daemon: left behind");
    Ok(())
}
