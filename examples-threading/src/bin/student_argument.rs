//! Each thread has a student of its own, and every call hands it down.
//!
//! Listing N13, notebook, `ThreadLocal`. Like the listing it prints nothing. What the
//! listing leaves out (`Student`, the subtasks, the threads) is the least that runs.

use std::thread;

struct Student;

fn process_student(_name: &str) {
    let std = &Student;
    do_task_1(std);
    do_task_2(std);
}

// The listing's `do_substask` is a slip.
fn do_task_1(std: &Student) {
    do_subtask_1(std);
    do_subtask_2(std);
}

fn do_task_2(std: &Student) {
    do_subtask_2(std);
    do_subtask_2(std);
}

fn do_subtask_1(_std: &Student) {}

fn do_subtask_2(_std: &Student) {}

fn main() {
    thread::scope(|s| {
        s.spawn(|| process_student("Alice"));
        s.spawn(|| process_student("Bob"));
    });
}
