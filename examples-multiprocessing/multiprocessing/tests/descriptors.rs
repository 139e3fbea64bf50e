//! What a process does to its descriptors does not make the others take it for dead, nor
//! does a namespace. Processes of one thread, since all of these fork.

use std::fs::{self, File};
use std::io::{Write, stdin};
use std::thread;
use std::time::{Duration, Instant};

use multiprocessing::{Acquired, Event, Lock, Process, Queue, Value};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{self, Signal};
use nix::unistd::{Pid, alarm};
use tutorial::harness::named;

/// How long an operation is watched that must not succeed: several slices.
const WATCHED: Duration = Duration::from_millis(500);
/// How long an operation may take that must succeed.
const HANG: Duration = Duration::from_secs(8);

fn main() {
    let claims: &[(&str, fn())] = named![
        a_holder_that_closed_all_descriptors_keeps_its_lock,
        a_holder_that_opened_and_closed_its_descriptors_again_keeps_its_lock,
        a_holder_that_is_stopped_keeps_its_lock,
        the_death_of_a_holder_that_first_closed_all_descriptors_is_noticed,
        a_process_without_descriptors_notices_a_death,
        a_queue_never_touches_a_file_that_got_the_number_of_its_descriptor,
        a_child_reads_nothing_whatever_files_its_parent_has_now,
        a_child_in_another_namespace_of_process_ids_runs,
        a_process_without_descriptors_takes_no_lock_from_another_namespace,
    ];
    for (claim, test) in claims {
        alarm::set(60);
        println!("{claim}");
        test();
    }
}

#[expect(
    unsafe_code,
    reason = "closes descriptors that others own, as daemons do"
)]
fn close_all_descriptors() {
    // SAFETY: takes numbers and touches no memory. What is closed is not used in a way
    // that memory depends on: that is the claim.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    assert_eq!(closed, 0);
}

/// Opens every descriptor's file once more, and closes it.
fn open_and_close_all_descriptors() {
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        drop(File::open(entry.unwrap().path()));
    }
}

/// Starts a process that holds a lock and a number's lock when this returns.
fn holder<'a>(
    lock: &'a Lock,
    number: &'a Value<i32>,
    ready: &'a Event,
    then: fn(),
) -> Process<'a> {
    let mut holder = Process::builder().daemon(true).target(move || {
        lock.acquire();
        let _number = number.lock();
        then();
        ready.set();
        thread::sleep(HANG);
    });
    holder.start().unwrap();
    assert!(ready.wait_timeout(HANG));
    holder
}

fn keeps_its_lock(then: fn()) {
    let (lock, number) = (Lock::new().unwrap(), Value::new(0).unwrap());
    let ready = Event::new().unwrap();
    let holder = holder(&lock, &number, &ready, then);
    // In a process of its own: there is no way to give up waiting for a number.
    let mut intruder = Process::builder().daemon(true).target(|| number.set(1));
    intruder.start().unwrap();
    assert_eq!(lock.acquire_timeout(WATCHED), None);
    assert!(intruder.is_alive(), "a second process was let in");
    assert!(holder.is_alive());

    let killed = Instant::now();
    holder.kill().unwrap();
    assert_eq!(lock.acquire_timeout(HANG), Some(Acquired::PredecessorDied));
    assert!(intruder.join_timeout(HANG).unwrap());
    println!("    its death was noticed after {:.0?}", killed.elapsed());
}

fn a_holder_that_closed_all_descriptors_keeps_its_lock() {
    keeps_its_lock(close_all_descriptors);
}

fn a_holder_that_opened_and_closed_its_descriptors_again_keeps_its_lock() {
    keeps_its_lock(open_and_close_all_descriptors);
}

fn a_holder_that_is_stopped_keeps_its_lock() {
    let lock = Lock::new().unwrap();
    let ready = Event::new().unwrap();
    let number = Value::new(0).unwrap();
    let holder = holder(&lock, &number, &ready, || ());
    let pid = Pid::from_raw(holder.pid().unwrap());
    signal::kill(pid, Signal::SIGSTOP).unwrap();
    assert_eq!(lock.acquire_timeout(WATCHED), None);
    holder.kill().unwrap();
    assert_eq!(lock.acquire_timeout(HANG), Some(Acquired::PredecessorDied));
}

/// As a daemon does, which has nothing to do with locks before.
fn the_death_of_a_holder_that_first_closed_all_descriptors_is_noticed() {
    let (lock, ready) = (Lock::new().unwrap(), Event::new().unwrap());
    let mut holder = Process::builder().daemon(true).target(|| {
        close_all_descriptors();
        lock.acquire();
        ready.set();
        thread::sleep(HANG);
    });
    holder.start().unwrap();
    assert!(ready.wait_timeout(HANG));
    assert_eq!(lock.acquire_timeout(WATCHED), None);
    holder.kill().unwrap();
    assert_eq!(lock.acquire_timeout(HANG), Some(Acquired::PredecessorDied));
}

fn a_process_without_descriptors_notices_a_death() {
    let lock = Lock::new().unwrap();
    let number = Value::new(0).unwrap();
    let ready = Event::new().unwrap();
    let victim = holder(&lock, &number, &ready, || ());
    let mut heir = Process::new(|| {
        close_all_descriptors();
        assert_eq!(lock.acquire_timeout(WATCHED), None);
        assert_eq!(lock.acquire_timeout(HANG), Some(Acquired::PredecessorDied));
    });
    heir.start().unwrap();
    thread::sleep(2 * WATCHED);
    victim.kill().unwrap();
    // Until it is reaped its process id is taken.
    victim.join().unwrap();
    heir.join().unwrap();
    assert_eq!(heir.exitcode(), Some(0));
}

fn a_queue_never_touches_a_file_that_got_the_number_of_its_descriptor() {
    let queue = Queue::new(0).unwrap();
    let mut p = Process::new(|| {
        close_all_descriptors();
        // One of these has the number that the queue's memory had.
        let mut files: Vec<_> = (0..40).map(|_| tempfile()).collect();
        for file in &mut files {
            file.write_all(b"mine").unwrap();
        }
        // Far more than the memory that the queue has taken already.
        let put = (0..64).try_for_each(|_| queue.put("7".repeat(1 << 20)));
        println!(
            "    puts without descriptors: {:?}",
            put.map_err(|e| e.to_string())
        );
        for file in files {
            assert_eq!(file.metadata().unwrap().len(), 4);
        }
    });
    p.start().unwrap();
    p.join().unwrap();
    assert_eq!(p.exitcode(), Some(0));
}

fn a_child_reads_nothing_whatever_files_its_parent_has_now() {
    let reads_nothing = || {
        let mut p = Process::new(|| {
            // The standard library takes a descriptor that is not for reading for empty.
            let read = nix::unistd::read(stdin(), &mut [0]);
            assert_eq!(read, Ok(0));
        });
        p.start().unwrap();
        p.join().unwrap();
        assert_eq!(p.exitcode(), Some(0));
    };
    let mut p = Process::new(|| {
        reads_nothing();
        for open in [readable_file, writable_nothing, path_of_nothing] {
            close_all_descriptors();
            reads_nothing();
            // One of these has the number of what the children's input is.
            close_all_descriptors();
            let _files: Vec<_> = (0..40).map(|_| open()).collect();
            reads_nothing();
        }
    });
    p.start().unwrap();
    p.join().unwrap();
    assert_eq!(p.exitcode(), Some(0));
}

fn readable_file() -> File {
    File::open("/proc/self/status").unwrap()
}

fn writable_nothing() -> File {
    File::options().write(true).open("/dev/null").unwrap()
}

/// Cannot be read, but has the access mode of a file that can.
fn path_of_nothing() -> File {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_PATH);
    options.open("/dev/null").unwrap()
}

/// A file without a name.
fn tempfile() -> File {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE);
    options.open(std::env::temp_dir()).unwrap()
}

fn a_child_in_another_namespace_of_process_ids_runs() {
    let queue = Queue::new(0).unwrap();
    let lock = Lock::new().unwrap();
    let mut p = Process::new(|| {
        let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID;
        if let Err(error) = unshare(flags) {
            println!("    skipped: no namespaces here: {error}");
            return;
        }
        let mut child = Process::new(|| {
            lock.acquire();
            queue.put(std::process::id()).unwrap();
            thread::sleep(2 * WATCHED);
            lock.release().unwrap();
        });
        child.start().unwrap();
        assert_eq!(queue.get_timeout(HANG), Ok(1), "it is the first of its own");
        assert_eq!(lock.acquire_timeout(WATCHED), None, "it is alive");
        child.join().unwrap();
        assert_eq!(child.exitcode(), Some(0));
        assert_eq!(lock.try_acquire(), Some(Acquired::Clean));
    });
    p.start().unwrap();
    p.join().unwrap();
    assert_eq!(p.exitcode(), Some(0));
}

fn a_process_without_descriptors_takes_no_lock_from_another_namespace() {
    let lock = Lock::new().unwrap();
    let ready = Event::new().unwrap();
    // It has its number in this process's namespace, which its children inherit.
    lock.acquire();
    lock.release().unwrap();
    let mut p = Process::new(|| {
        let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID;
        if let Err(error) = unshare(flags) {
            println!("    skipped: no namespaces here: {error}");
            return;
        }
        let mut first = Process::builder().daemon(true).target(|| {
            thread::sleep(4 * HANG);
        });
        first.start().unwrap();
        // The holder's id must be that of no process here.
        let mut next = 2;
        while signal::kill(Pid::from_raw(next), None) != Err(Errno::ESRCH) {
            let mut passer_by = Process::new(|| ());
            passer_by.start().unwrap();
            passer_by.join().unwrap();
            next += 1;
        }
        let mut holder = Process::builder().daemon(true).target(|| {
            assert_eq!(std::process::id(), next as u32);
            lock.acquire();
            ready.set();
            thread::sleep(HANG);
        });
        holder.start().unwrap();
        assert!(ready.wait_timeout(HANG));
        close_all_descriptors();
        let acquired = lock.acquire_timeout(WATCHED);
        // The first process of a namespace does not end before all others are reaped.
        for process in [&holder, &first] {
            process.kill().unwrap();
            process.join().unwrap();
        }
        assert_eq!(acquired, None, "it was alive");
    });
    p.start().unwrap();
    p.join().unwrap();
    assert_eq!(p.exitcode(), Some(0));
}
