//! Kills clients and servers of managers. Those that waited for them continue or get an
//! error, nothing is lost that was not theirs, and nothing is left behind.
//!
//! It has a `main` of its own: managers are started by forking, which only a process
//! with one thread may do.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use multiprocessing::managers::{
    Address, ListProxy, ManagerError, SyncManager, Value, manager,
};
use multiprocessing::{Process, active_children};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, alarm};
use signal_hook::consts::SIGINT;
use tutorial::harness::{is_running, named, unique};

/// After this long a wait counts as a hang. A second is promised; a busy machine may add
/// to it.
const HANG: Duration = Duration::from_secs(10);

type Test = fn() -> Result<(), ManagerError>;

fn main() {
    let tests: &[(&str, Test)] = named![
        a_lock_of_a_dead_client_is_released,
        permits_of_a_dead_client_come_back,
        an_item_for_a_dead_client_goes_to_another,
        a_client_that_dies_waiting_breaks_its_barrier,
        a_notification_to_a_dead_client_wakes_another,
        clients_may_die_at_any_moment,
        a_killed_server_ends_the_calls_that_wait_for_it,
        a_server_killed_during_a_long_reply_is_an_error,
        the_address_of_a_killed_server_can_be_used_again,
        the_socket_file_of_a_killed_program_is_removed,
        a_watcher_leaves_another_servers_socket_file_alone,
        a_server_ends_with_its_parent,
        ctrl_c_leaves_the_server_alone,
        a_child_has_references_of_its_own,
        a_start_that_failed_can_be_repeated,
        a_child_can_end_the_server_it_inherited,
    ];
    // A part of a name as an argument picks the tests that have it, as in other tests.
    let picked = env::args().nth(1).unwrap_or_default();
    for (name, test) in tests.iter().filter(|(name, _)| name.contains(&picked)) {
        println!("{name}");
        // A hang ends the whole by SIGALRM.
        alarm::set(60);
        let start = Instant::now();
        test().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(active_children().is_empty(), "{name} left a process");
        println!("{name}: ok, {:?}", start.elapsed());
    }
}

/// Runs a function in a process, and kills it a little after it has called its argument.
fn killed_after<F>(manager: &SyncManager, function: F) -> Result<(), ManagerError>
where
    F: Fn(&dyn Fn()) -> Result<(), ManagerError>,
{
    let ready = manager.event()?;
    let raise = || ready.set().unwrap();
    let mut client = Process::new(|| {
        function(&raise).unwrap();
        thread::sleep(HANG);
    });
    client.start()?;
    assert!(ready.wait_timeout(HANG)?, "the client never got there");
    thread::sleep(Duration::from_millis(20));
    client.kill()?;
    client.join()?;
    Ok(())
}

fn a_lock_of_a_dead_client_is_released() -> Result<(), ManagerError> {
    let manager = manager()?;
    for lock in [manager.lock()?, manager.rlock()?] {
        killed_after(&manager, |ready| {
            lock.acquire()?;
            ready();
            Ok(())
        })?;
        assert!(lock.acquire_timeout(HANG)?);
        lock.release()?;
        // While it waits for the lock.
        lock.acquire()?;
        killed_after(&manager, |ready| {
            ready();
            lock.acquire()
        })?;
        lock.release()?;
        assert!(lock.acquire_timeout(HANG)?);
    }
    let condition = manager.condition(None)?;
    killed_after(&manager, |ready| {
        condition.acquire()?;
        ready();
        Ok(())
    })?;
    assert!(condition.acquire_timeout(HANG)?);
    Ok(())
}

fn permits_of_a_dead_client_come_back() -> Result<(), ManagerError> {
    let manager = manager()?;
    for rooms in [manager.semaphore(2)?, manager.bounded_semaphore(2)?] {
        killed_after(&manager, |ready| {
            rooms.acquire()?;
            rooms.acquire()?;
            ready();
            Ok(())
        })?;
        assert!(rooms.acquire_timeout(HANG)? && rooms.acquire_timeout(HANG)?);
        assert!(!rooms.try_acquire()?);
    }
    Ok(())
}

fn an_item_for_a_dead_client_goes_to_another() -> Result<(), ManagerError> {
    let over_tcp = |port: u16| {
        let mut manager = SyncManager::new(("127.0.0.1", port), b"abc");
        manager.start().map(|()| manager)
    };
    for manager in [manager()?, over_tcp(0)?] {
        let q = manager.queue(0)?;
        for _ in 0..3 {
            killed_after(&manager, |ready| {
                ready();
                q.get::<i64>().map(drop)
            })?;
            // At once: the server has not yet looked after the dead client.
            q.put(1)?;
            q.put(2)?;
            assert_eq!(q.get_timeout::<i64>(HANG)?, 1);
            assert_eq!(q.get_timeout::<i64>(HANG)?, 2);
        }
    }
    Ok(())
}

fn a_client_that_dies_waiting_breaks_its_barrier() -> Result<(), ManagerError> {
    let manager = manager()?;
    let barrier = manager.barrier(3)?;
    let mut waits = Process::new(|| {
        let broken = barrier.wait().unwrap_err();
        assert!(
            broken.to_string().contains("BrokenBarrierError"),
            "{broken}"
        );
    });
    waits.start()?;
    while barrier.n_waiting()? < 1 {
        thread::sleep(Duration::from_millis(1));
    }
    let mut dies = Process::new(|| {
        let _killed_meanwhile = barrier.wait();
    });
    dies.start()?;
    while barrier.n_waiting()? < 2 {
        thread::sleep(Duration::from_millis(1));
    }
    dies.kill()?;
    dies.join()?;
    assert!(waits.join_timeout(HANG)?);
    assert_eq!(waits.exitcode(), Some(0));
    Ok(())
}

fn a_notification_to_a_dead_client_wakes_another() -> Result<(), ManagerError> {
    let manager = manager()?;
    let condition = manager.condition(None)?;
    let ready = manager.event()?;
    let wait = || {
        let _held = condition.lock().unwrap();
        ready.set().unwrap();
        condition.wait().unwrap();
    };
    // The first that waits, then the second.
    let mut processes = Vec::new();
    for _ in 0..2 {
        ready.clear()?;
        let mut process = Process::new(wait);
        process.start()?;
        assert!(ready.wait_timeout(HANG)?);
        // The lock is free only once the other waits.
        drop(condition.lock()?);
        processes.push(process);
    }
    let living = processes.pop().unwrap();
    let dead = processes.pop().unwrap();
    dead.kill()?;
    dead.join()?;
    let held = condition.lock()?;
    condition.notify()?;
    drop(held);
    assert!(
        living.join_timeout(HANG)?,
        "the notification died with the client"
    );
    assert_eq!(living.exitcode(), Some(0));
    Ok(())
}

fn clients_may_die_at_any_moment() -> Result<(), ManagerError> {
    let manager = manager()?;
    let lock = manager.lock()?;
    let list: ListProxy = manager.list([0_i64, 0])?;
    let mut random = Instant::now().elapsed().subsec_nanos() | 1;
    for round in 0..40 {
        let mut client = Process::new(|| -> Result<(), ManagerError> {
            loop {
                let _held = lock.lock()?;
                list.set(0, list.get::<i64>(0)? + 1)?;
                // Much of the time is spent inside of messages.
                list.set(1, "x".repeat(100_000))?;
            }
        });
        client.start()?;
        // The first is left to get somewhere, however busy the machine is.
        let deadline = Instant::now() + HANG;
        while round == 0 && list.get::<i64>(0)? == 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        thread::sleep(Duration::from_micros(u64::from(random >> 16) % 20_000));
        client.kill()?;
        client.join()?;
        assert!(lock.acquire_timeout(HANG)?);
        lock.release()?;
    }
    assert!(list.get::<i64>(0)? > 0);
    Ok(())
}

fn server_of(manager: &SyncManager) -> Pid {
    let mut servers = active_children().into_iter();
    let server = servers.find(|child| child.name().starts_with("SyncManager"));
    let pid = server
        .unwrap_or_else(|| panic!("no server for {manager:?}"))
        .pid();
    Pid::from_raw(pid)
}

fn a_killed_server_ends_the_calls_that_wait_for_it() -> Result<(), ManagerError> {
    let manager = manager()?;
    let server = server_of(&manager);
    let q = manager.queue(0)?;
    // Of another server: the reply to `set` must not be cut off by the kill.
    let witness = self::manager()?;
    let ready = witness.event()?;
    let mut client = Process::new(|| {
        // From here on it has a connection, which ends with the server.
        assert!(q.empty().unwrap());
        ready.set().unwrap();
        let lost = q.get::<i64>().unwrap_err();
        assert!(matches!(lost, ManagerError::Lost { .. }), "{lost:?}");
        let absent = q.get::<i64>().unwrap_err();
        assert!(matches!(absent, ManagerError::Absent { .. }), "{absent:?}");
    });
    client.start()?;
    assert!(ready.wait_timeout(HANG)?);
    kill(server, Signal::SIGKILL).unwrap();
    assert!(client.join_timeout(HANG)?);
    assert_eq!(client.exitcode(), Some(0));
    Ok(())
}

fn a_server_killed_during_a_long_reply_is_an_error() -> Result<(), ManagerError> {
    let manager = manager()?;
    let server = server_of(&manager);
    // Longer than a socket holds.
    let list = manager.list([Value::Bytes(vec![0; 40_000_000].into())])?;
    let mut killer = Process::new(|| {
        thread::sleep(Duration::from_millis(5));
        kill(server, Signal::SIGKILL).unwrap();
    });
    killer.start()?;
    loop {
        match list.value() {
            Ok(_) => {}
            Err(ManagerError::Lost { .. } | ManagerError::Absent { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    killer.join()?;
    Ok(())
}

fn the_address_of_a_killed_server_can_be_used_again() -> Result<(), ManagerError> {
    let path = env::temp_dir().join(unique("kills"));
    let start = || {
        let mut manager = SyncManager::new(path.as_path(), b"abc");
        manager.start().map(|()| manager)
    };
    let first = start()?;
    let taken = start().unwrap_err();
    assert!(matches!(taken, ManagerError::Bind { .. }), "{taken:?}");
    kill(server_of(&first), Signal::SIGKILL).unwrap();
    drop(first);
    assert!(!path.exists(), "the file of a killed server is left");

    // The program was killed as well.
    is_killed_with_a_server_at(&path)?;
    // That server is killed a moment after its parent, and has its place until then.
    let deadline = Instant::now() + HANG;
    let second = loop {
        match start() {
            Err(ManagerError::Bind { .. }) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(1));
            }
            started => break started?,
        }
    };
    second.list([1])?;
    drop(second);
    assert!(!path.exists());
    Ok(())
}

/// Starts a manager at this path in a process that is killed then.
fn is_killed_with_a_server_at(path: &Path) -> Result<(), ManagerError> {
    let mut program = Process::new(|| {
        let mut manager = SyncManager::new(path, b"abc");
        manager.start().unwrap();
        manager.list([1]).unwrap();
        kill(Pid::this(), Signal::SIGKILL).unwrap();
    });
    program.start()?;
    program.join()?;
    Ok(())
}

fn the_socket_file_of_a_killed_program_is_removed() -> Result<(), ManagerError> {
    let path = env::temp_dir().join(unique("watched"));
    is_killed_with_a_server_at(&path)?;
    let killed = Instant::now();
    while path.exists() {
        assert!(killed.elapsed() < HANG, "the socket file is left");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn a_watcher_leaves_another_servers_socket_file_alone() -> Result<(), ManagerError> {
    let path = env::temp_dir().join(unique("passed"));
    let mut program = Process::new(|| {
        let mut manager = SyncManager::new(path.as_path(), b"abc");
        manager.start().unwrap();
        manager.shutdown().unwrap();
        drop(manager);
        // Another server's from now on: it has the same name, and often the same number.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        kill(Pid::this(), Signal::SIGKILL).unwrap();
    });
    program.start()?;
    program.join()?;
    // Its watcher would be done by then.
    thread::sleep(Duration::from_millis(300));
    assert!(path.exists(), "the watcher removed another's file");
    fs::remove_file(&path).unwrap();
    Ok(())
}

fn a_server_ends_with_its_parent() -> Result<(), ManagerError> {
    let witness = manager()?;
    let pids = witness.list([0_i64; 0])?;
    let mut parent = Process::new(|| {
        let manager = manager().unwrap();
        pids.append(i64::from(server_of(&manager).as_raw()))
            .unwrap();
        thread::sleep(HANG);
    });
    parent.start()?;
    while pids.is_empty()? {
        thread::sleep(Duration::from_millis(1));
    }
    let server = Pid::from_raw(pids.get(0)?);
    assert!(is_running(server));
    parent.kill()?;
    parent.join()?;
    let killed = Instant::now();
    while is_running(server) {
        assert!(killed.elapsed() < HANG, "the server outlives its parent");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn ctrl_c_leaves_the_server_alone() -> Result<(), ManagerError> {
    let interrupted = || {
        let manager = manager()?;
        let list = manager.list([1])?;
        kill(server_of(&manager), Signal::SIGINT).unwrap();
        thread::sleep(Duration::from_millis(20));
        assert_eq!(list.get::<i64>(0)?, 1);
        Ok(())
    };
    interrupted()?;
    // In a program that handles the signal itself, too.
    let mut handles = Process::new(|| {
        let pressed = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGINT, pressed).unwrap();
        let done: Result<(), ManagerError> = interrupted();
        done.unwrap();
    });
    handles.start()?;
    handles.join()?;
    assert_eq!(handles.exitcode(), Some(0));
    Ok(())
}

fn a_child_has_references_of_its_own() -> Result<(), ManagerError> {
    let manager = manager()?;
    let q = manager.queue(0)?;
    let done = manager.queue(0)?;
    // The parent's connection is open by now; the child must not speak on it.
    q.put("before")?;
    let copies = (q.clone(), done.clone());
    let mut child = Process::new(move || {
        copies.0.put("from the child").unwrap();
        copies.1.put("done").unwrap();
    });
    child.start()?;
    assert_eq!(q.get::<String>()?, "before");
    assert_eq!(q.get_timeout::<String>(HANG)?, "from the child");
    assert_eq!(done.get_timeout::<String>(HANG)?, "done");
    drop(done);
    child.join()?;
    assert_eq!(child.exitcode(), Some(0));
    // What the child had is given back.
    let start = Instant::now();
    while manager.number_of_objects()? > 1 && start.elapsed() < HANG {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(manager.number_of_objects()?, 1);
    assert!(matches!(manager.address(), Address::Abstract(_)));
    Ok(())
}

fn a_start_that_failed_can_be_repeated() -> Result<(), ManagerError> {
    let path = env::temp_dir().join(unique("again"));
    let mut first = SyncManager::new(path.as_path(), b"abc");
    first.start()?;
    let mut second = SyncManager::new(path.as_path(), b"abc");
    let taken = second.start().unwrap_err();
    assert!(matches!(taken, ManagerError::Bind { .. }), "{taken:?}");
    first.shutdown()?;
    drop(first);
    second.start()?;
    second.queue(1)?.put(1)?;
    // And once more after its end.
    second.shutdown()?;
    second.start()?;
    second.queue(1)?.put(1)?;

    let any_port = Address::from(("127.0.0.1", 0));
    let mut threaded = SyncManager::new(&any_port, b"abc");
    let (end, until_the_end) = mpsc::channel::<()>();
    let thread = thread::spawn(move || until_the_end.recv());
    let refused = threaded.start().unwrap_err();
    assert!(matches!(refused, ManagerError::Process(_)), "{refused:?}");
    assert_eq!(*threaded.address(), any_port);
    drop(end);
    // It fails as nothing is sent.
    thread.join().unwrap().unwrap_err();
    threaded.start()?;
    threaded.queue(1)?.put(1)?;
    Ok(())
}

fn a_child_can_end_the_server_it_inherited() -> Result<(), ManagerError> {
    let mut manager = manager()?;
    let server = server_of(&manager);
    let mut child = Process::new(|| manager.shutdown().unwrap());
    child.start()?;
    child.join()?;
    assert_eq!(child.exitcode(), Some(0));
    drop(child);
    let start = Instant::now();
    while is_running(server) {
        assert!(start.elapsed() < HANG, "the server still runs");
        thread::sleep(Duration::from_millis(1));
    }
    let ended = manager.shutdown().unwrap_err();
    assert!(matches!(ended, ManagerError::Absent { .. }), "{ended:?}");
    Ok(())
}
