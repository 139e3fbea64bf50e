//! Each thread puts its student into one global map, with the thread as the key, and
//! every function finds it there.
//!
//! Listing N14, notebook, `ThreadLocal`. Like the listing it prints nothing. A thread is
//! no key in Rust, its id is; and a map that all threads share needs a lock.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, ThreadId};

#[expect(dead_code, reason = "the listing's tasks do nothing with it yet")]
struct Student {
    name: String,
}

impl Student {
    fn new(name: &str) -> Self {
        Self { name: name.into() }
    }
}

static GLOBAL_DICT: LazyLock<Mutex<HashMap<ThreadId, Arc<Student>>>> =
    LazyLock::new(Mutex::default);

fn std_thread(name: &str) {
    let std = Arc::new(Student::new(name));
    GLOBAL_DICT
        .lock()
        .unwrap()
        .insert(thread::current().id(), std);
    do_task_1();
    do_task_2();
}

/// The current thread's student, shared with the map rather than lent by it: on loan
/// it would keep the map locked, and the other threads waiting, for the whole task.
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
