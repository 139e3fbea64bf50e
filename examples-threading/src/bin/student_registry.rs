//! Each thread puts its student into one global map, with the thread as the key, and
//! every function finds it there.
//!
//! Listing N14, notebook, 全局dict存放所有的Student对象. Like the listing it prints nothing.
//! A thread cannot be a key in Rust, but its id can; and a map that all threads
//! share needs a lock.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, ThreadId};

#[expect(dead_code, reason = "the listing's tasks do nothing with it yet")]
struct Student {
    name: String,
}

static GLOBAL_DICT: LazyLock<Mutex<HashMap<ThreadId, Arc<Student>>>> =
    LazyLock::new(Mutex::default);

fn std_thread(name: &str) {
    let std = Arc::new(Student { name: name.into() });
    let this_thread = thread::current().id();
    GLOBAL_DICT.lock().unwrap().insert(this_thread, std);
    do_task_1();
    do_task_2();
}

/// The current thread's student. It is shared with the map, because a borrowed one
/// would keep the map locked for the whole task while the other threads wait.
fn current_student() -> Arc<Student> {
    Arc::clone(&GLOBAL_DICT.lock().unwrap()[&thread::current().id()])
}

fn do_task_1() {
    let _std = current_student();
}

fn do_task_2() {
    let _std = current_student();
}

fn main() {
    thread::scope(|s| {
        s.spawn(|| std_thread("Alice"));
        s.spawn(|| std_thread("Bob"));
    });
}
