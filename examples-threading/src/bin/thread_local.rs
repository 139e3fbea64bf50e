//! Two threads keep their student in one variable and do not see each other's.
//!
//! Listing N15, notebook, `ThreadLocal`. Python's `threading.local()` takes any
//! attribute. Here it is a field, `None` until the thread has set it.

use std::cell::RefCell;
use std::thread;

use tutorial::Result;

#[derive(Default)]
struct School {
    student: Option<String>,
}

thread_local! {
    static LOCAL_SCHOOL: RefCell<School> = RefCell::default();
}

fn process_student() {
    LOCAL_SCHOOL.with_borrow(|local_school| {
        let std = local_school.student.as_ref().unwrap();
        let current_thread = thread::current();
        println!("Hello, {std} (in {})", current_thread.name().unwrap());
    });
}

fn process_thread(name: &str) {
    LOCAL_SCHOOL.with_borrow_mut(|local_school| {
        local_school.student = Some(name.into());
    });
    process_student();
}

fn main() -> Result<()> {
    let t1 = thread::Builder::new()
        .name("Thread-A".into())
        .spawn(|| process_thread("Alice"))?;
    let t2 = thread::Builder::new()
        .name("Thread-B".into())
        .spawn(|| process_thread("Bob"))?;
    t1.join().unwrap();
    t2.join().unwrap();
    Ok(())
}
