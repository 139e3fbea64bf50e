//! A re-entrant lock is taken three times in one chain of calls, and is free for others
//! once it has been released three times.
//!
//! Listing N22, notebook, 线程的同步和通信, which takes it once and says the rest in a
//! comment. `release` is the drop of the guard.

use std::thread;

use threading::RLock;

fn free_for_others(lock: &RLock<()>) -> bool {
    thread::scope(|s| s.spawn(|| lock.try_lock().is_some()).join().unwrap())
}

fn call_chain(lock: &RLock<()>, n: usize) {
    let guard = lock.lock();
    let level = guard.level();
    println!(
        "acquire {level}, free for others: {}",
        free_for_others(lock)
    );
    if level < n {
        call_chain(lock, n); // With a Mutex this call would wait for its own caller.
    }
    drop(guard);
    println!(
        "release {level}, free for others: {}",
        free_for_others(lock)
    );
}

fn main() {
    call_chain(&RLock::new(()), 3);
}
