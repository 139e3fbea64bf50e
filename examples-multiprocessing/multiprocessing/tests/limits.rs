//! The limits that batch systems, judges and containers set: what a program needs grows
//! with what it uses, and beyond a limit there is an error, not a signal.
//!
//! Each test sets a limit in a forked process of its own.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{env, process};

use multiprocessing::{
    Array, Connection, Event, JoinableQueue, Lock, NamedPipe, Pool, Process,
    PutError, Queue, Semaphore, SharedMemory, SimpleQueue, Value, freeze_support,
    pipe,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{alarm, close};
#[cfg(feature = "managers")]
use servers::{
    a_server_that_could_not_even_refuse_clients_can_again,
    a_server_without_descriptors_refuses_its_clients,
};
use tutorial::harness::{named, unique};

fn main() {
    freeze_support();
    let claims: &[(&str, fn())] = named![
        thousands_of_small_objects_need_few_descriptors,
        many_locks_travel_with_few_descriptors,
        without_descriptors_everything_says_what_to_do,
        #[cfg(feature = "managers")]
        a_server_without_descriptors_refuses_its_clients,
        #[cfg(feature = "managers")]
        a_server_that_could_not_even_refuse_clients_can_again,
        queues_and_pools_work_in_a_small_address_space,
        queues_and_pools_work_with_a_limit_of_the_file_size,
        too_large_a_file_is_an_error,
        a_program_forks_without_proc,
        without_dev_errors_say_what_to_mount,
        a_umask_withholds_nothing_from_those_who_share,
    ];
    alarm::set(60);
    let tests: Vec<_> = claims
        .iter()
        .map(|(claim, test)| {
            println!("{claim}");
            let mut p = Process::new(test);
            p.start().unwrap();
            (claim, p)
        })
        .collect();
    // All are joined before one is called a failure, so that none is left behind.
    for (_, p) in &tests {
        p.join().unwrap();
    }
    for (claim, p) in tests {
        assert_eq!(p.exitcode(), Some(0), "{claim}");
    }
}

fn limit(resource: Resource, limit: u64) {
    setrlimit(resource, limit, limit).unwrap();
}

fn thousands_of_small_objects_need_few_descriptors() {
    const MANY: usize = 10_000;
    limit(Resource::RLIMIT_NOFILE, 256);
    let locks: Vec<_> = (0..MANY).map(|_| Lock::new().unwrap()).collect();
    let semaphores: Vec<_> = (0..MANY).map(|_| Semaphore::new(1).unwrap()).collect();
    let events: Vec<_> = (0..MANY).map(|_| Event::new().unwrap()).collect();
    let values: Vec<_> = (0..MANY).map(|n| Value::new(n).unwrap()).collect();
    let mut p = Process::new(|| {
        for n in 0..MANY {
            assert_eq!(values[n].get(), n);
            values[n].set(2 * n);
            locks[n].acquire();
            semaphores[n].acquire();
            events[n].set();
        }
    });
    p.start().unwrap();
    p.join().unwrap();
    for n in 0..MANY {
        assert_eq!(values[n].get(), 2 * n);
        assert!(locks[n].release().is_ok());
        assert!(!semaphores[n].try_acquire());
        assert!(events[n].is_set());
    }
}

fn many_locks_travel_with_few_descriptors() {
    fn work(locks: Vec<Lock>) {
        for lock in &locks {
            lock.release().unwrap();
        }
    }
    limit(Resource::RLIMIT_NOFILE, 64);
    let locks: Vec<_> = (0..1000).map(|_| Lock::new().unwrap()).collect();
    for lock in &locks {
        lock.acquire();
    }
    let mut p = Process::spawned(work, locks.clone());
    p.start().unwrap();
    p.join().unwrap();
    assert_eq!(p.exitcode(), Some(0));
    assert!(locks.iter().all(|lock| lock.release().is_err()));
}

fn double(x: u32) -> u32 {
    2 * x
}

/// Each is tried with no descriptor, then with one, and so on until it succeeds.
fn without_descriptors_everything_says_what_to_do() {
    const REFUSED: i32 = 3;
    type Attempt = fn() -> multiprocessing::Result<()>;
    let attempts: &[(&str, Attempt)] = named![
        numbers_and_a_block,
        queues,
        a_large_message,
        a_named_pipe,
        processes,
        a_spawned_process,
        a_pool_with_an_initializer,
        #[cfg(feature = "managers")]
        a_manager,
    ];
    for (what, attempt) in attempts {
        for free in 0.. {
            assert!(free < 40, "{what} never succeeds");
            let mut p = Process::new(|| {
                let first_free = File::open("/dev/null").unwrap().as_raw_fd();
                limit(Resource::RLIMIT_NOFILE, u64::from(first_free as u32) + free);
                if let Err(error) = attempt() {
                    let text = error.to_string();
                    assert!(text.contains("`ulimit -n "), "{what}, {free}: {text}");
                    process::exit(REFUSED);
                }
            });
            p.start().unwrap();
            p.join().unwrap();
            match p.exitcode() {
                Some(0) if free > 0 => break,
                Some(REFUSED) => {}
                other => panic!("{what} with {free} descriptors: {other:?}"),
            }
        }
    }
}

fn numbers_and_a_block() -> multiprocessing::Result<()> {
    Lock::new()?;
    Array::<u8>::zeroed(1 << 20)?;
    SharedMemory::new(1 << 20)?;
    Ok(())
}

fn queues() -> multiprocessing::Result<()> {
    Queue::new(0)?.put("7".repeat(1 << 20))?;
    SimpleQueue::new()?.put(8)?;
    JoinableQueue::new(0)?.put(9)?;
    Ok(())
}

fn a_large_message() -> multiprocessing::Result<()> {
    let (receiver, sender) = pipe(false)?;
    sender.send_bytes(&vec![7; 100_000])?;
    receiver.recv_bytes()?;
    Ok(())
}

fn a_named_pipe() -> multiprocessing::Result<()> {
    let path = env::temp_dir().join(unique("limits-test"));
    let fifo = NamedPipe::create(&path)?;
    // An end that is opened for both directions does not wait.
    let _reader = File::options().read(true).write(true).open(&path)?;
    fifo.writer_if_read()?;
    Ok(())
}

fn processes() -> multiprocessing::Result<()> {
    let mut one = Process::new(|| ());
    let mut other = Process::builder().daemon(true).target(|| ());
    one.start()?;
    other.start()?;
    one.join()?;
    other.join()?;
    Ok(())
}

fn a_spawned_process() -> multiprocessing::Result<()> {
    let (_receiver, sender) = pipe(false)?;
    let send = |(sender, _): (Connection, Lock)| sender.send(&7).unwrap();
    let mut p = Process::spawned(send, (sender, Lock::new()?));
    p.start()?;
    p.join()?;
    assert_eq!(p.exitcode(), Some(0));
    Ok(())
}

fn a_pool_with_an_initializer() -> multiprocessing::Result<()> {
    let queue = Queue::new(0)?;
    let initializer = |queue: Queue<u32>| queue.put(1).unwrap();
    let pool = Pool::builder().processes(1);
    let pool = pool.initializer(initializer, (queue.clone(),)).start()?;
    assert_eq!(pool.map(double, 0..3)?, [0, 2, 4]);
    assert_eq!(queue.get(), Ok(1));
    Ok(())
}

#[cfg(feature = "managers")]
fn a_manager() -> multiprocessing::Result<()> {
    multiprocessing::managers::manager()?;
    Ok(())
}

#[cfg(feature = "managers")]
mod servers {
    use std::time::{Duration, Instant};
    use std::{iter, thread};

    use multiprocessing::managers::{Address, BaseManager, ManagerError};

    use super::{File, Process, Resource, limit, pipe, setrlimit};

    fn connect(address: &Address) -> Result<(), ManagerError> {
        BaseManager::new(address, b"abc").connect()
    }

    /// Asserts that a client is told of the limit, and does not wait for that as long as a
    /// handshake may take.
    fn assert_refused(refused: &ManagerError, asked: Instant) {
        assert!(refused.to_string().contains("`ulimit -n "), "{refused}");
        assert!(asked.elapsed() < Duration::from_secs(15));
    }

    fn take_all_descriptors() -> Vec<File> {
        iter::from_fn(|| File::open("/proc/self/status").ok()).collect()
    }

    pub(super) fn a_server_without_descriptors_refuses_its_clients() {
        let address = Address::any();
        let (told, tell) = pipe(false).unwrap();
        let mut server = Process::builder().daemon(true).target(|| {
            let manager = BaseManager::new(&address, b"abc");
            let server = manager.get_server().unwrap();
            tell.send(&()).unwrap();
            limit(Resource::RLIMIT_NOFILE, 64);
            let _files = take_all_descriptors();
            server.serve_forever();
        });
        server.start().unwrap();
        told.recv::<()>().unwrap();
        for _ in 0..3 {
            let asked = Instant::now();
            assert_refused(&connect(&address).unwrap_err(), asked);
        }
    }

    pub(super) fn a_server_that_could_not_even_refuse_clients_can_again() {
        let address = Address::any();
        let (here, there) = pipe(true).unwrap();
        let mut server = Process::builder().daemon(true).target(|| {
            let manager = BaseManager::new(&address, b"abc");
            let server = manager.get_server().unwrap();
            let limit = |soft| setrlimit(Resource::RLIMIT_NOFILE, soft, 64).unwrap();
            // Whatever the server closes, it gets no other descriptor.
            limit(3);
            there.send(&()).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_secs(2));
                    limit(64);
                    let mut files = Vec::new();
                    while there.recv::<()>().is_ok() {
                        files.extend(take_all_descriptors());
                        there.send(&()).unwrap();
                    }
                });
                server.serve_forever();
            });
        });
        server.start().unwrap();
        here.recv::<()>().unwrap();
        // This waits until there are descriptors.
        connect(&address).unwrap();
        // The descriptor of the last connection may come free after the others were taken.
        loop {
            here.send(&()).unwrap();
            here.recv::<()>().unwrap();
            let asked = Instant::now();
            if let Err(refused) = connect(&address) {
                assert_refused(&refused, asked);
                break;
            }
        }
    }
}

fn queues_and_pools_work() {
    let queue = Queue::new(10).unwrap();
    let simple = SimpleQueue::new().unwrap();
    let joinable = JoinableQueue::new(0).unwrap();
    let (receiver, sender) = pipe(false).unwrap();
    let array = Array::new([1.5, 2.5]).unwrap();
    let mut p = Process::new(|| {
        queue.put("7".repeat(1 << 20)).unwrap();
        simple.put(8).unwrap();
        joinable.put(9).unwrap();
        sender.send("10").unwrap();
        array.lock()[0] = 11.5;
    });
    p.start().unwrap();
    p.join().unwrap();
    assert_eq!(queue.get().map(|text| text.len()), Ok(1 << 20));
    assert_eq!((simple.get(), joinable.get()), (Ok(8), Ok(9)));
    assert_eq!(receiver.recv::<String>().unwrap(), "10");
    assert_eq!(array.to_vec(), [11.5, 2.5]);
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(double, 0..3).unwrap(), [0, 2, 4]);
}

fn queues_and_pools_work_in_a_small_address_space() {
    limit(Resource::RLIMIT_AS, 1_000_000 << 10);
    queues_and_pools_work();
}

/// As `ulimit -f 20000` sets it.
fn limit_file_size() {
    limit(Resource::RLIMIT_FSIZE, 20_000 << 10);
}

fn queues_and_pools_work_with_a_limit_of_the_file_size() {
    limit_file_size();
    queues_and_pools_work();
}

fn too_large_a_file_is_an_error() {
    const TOO_LARGE: usize = 40 << 20;
    limit_file_size();
    let too_large = |error: &dyn ToString| {
        let text = error.to_string();
        assert!(text.contains("File too large"), "{text}");
    };
    too_large(&Array::<u8>::zeroed(TOO_LARGE).unwrap_err());
    too_large(&SharedMemory::new(TOO_LARGE).unwrap_err());
    let (_receiver, sender) = pipe(false).unwrap();
    too_large(&sender.send_bytes(&vec![7; TOO_LARGE]).unwrap_err());
    let queue = Queue::new(0).unwrap();
    let put = (0..40).try_for_each(|_| queue.put("7".repeat(1 << 20)));
    let error = put.unwrap_err();
    assert!(matches!(error, PutError::System(..)), "{error}");
    too_large(&error);
    // What was put before is there, and there is room for it again.
    let before = queue.qsize();
    assert!(before > 4, "{before} items");
    for _ in 0..before {
        assert_eq!(queue.get().unwrap().len(), 1 << 20);
    }
    queue.put("7".repeat(1 << 20)).unwrap();
}

/// Changes what is mounted, for this process alone. Returns whether that was possible.
fn change_mounts(change: impl FnOnce() -> nix::Result<()>) -> bool {
    let changed = unshare(CloneFlags::CLONE_NEWNS).and_then(|()| {
        // What happens here is not seen outside.
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount::<str, _, str, str>(None, "/", None, private, None)?;
        change()
    });
    if let Err(error) = changed {
        println!("    skipped: nothing can be mounted here: {error}");
    }
    changed.is_ok()
}

fn without_dev_errors_say_what_to_mount() {
    let cover = |folder: &str, flags| {
        mount::<str, _, str, str>(None, folder, Some("tmpfs"), flags, None)
    };
    if !change_mounts(|| cover("/dev/shm", MsFlags::MS_RDONLY)) {
        return;
    }
    let says_what_to_do = || {
        let refused = SharedMemory::new(10).unwrap_err().to_string();
        assert!(refused.contains("at /dev/shm"), "{refused}");
    };
    says_what_to_do();
    cover("/dev", MsFlags::empty()).unwrap();
    says_what_to_do();
    Queue::new(0).unwrap().put(1).unwrap();
    // What an earlier start of a process has opened serves as long as it is there.
    Process::new(|| ()).start().unwrap();
    close_those_of("/dev/null");
    let spawned = Process::spawned(|(): ()| (), ());
    for mut p in [Process::new(|| ()), spawned] {
        let refused = p.start().unwrap_err().to_string();
        assert!(refused.contains("mount /dev"), "{refused}");
    }
}

/// Closes all descriptors of this file but the standard ones.
fn close_those_of(file: &str) {
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        let fd: i32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        if fd > 2 && fs::read_link(&path).is_ok_and(|name| name == Path::new(file)) {
            close(fd).unwrap();
        }
    }
}

fn a_umask_withholds_nothing_from_those_who_share() {
    umask(Mode::all());
    let is_open = |path: &Path| {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    };
    let block = SharedMemory::create(&unique("limits-test"), 10).unwrap();
    is_open(&Path::new("/dev/shm").join(block.name()));
    SharedMemory::attach(block.name()).unwrap();
    let path = env::temp_dir().join(unique("limits-test"));
    let fifo = NamedPipe::create(&path).unwrap();
    is_open(&path);
    assert!(fifo.writer_if_read().unwrap().is_none());
}

fn a_program_forks_without_proc() {
    if !change_mounts(|| umount2("/proc", MntFlags::MNT_DETACH)) {
        return;
    }
    let queue = Queue::new(0).unwrap();
    let mut p = Process::new(|| queue.put(1).unwrap());
    p.start().unwrap();
    p.join().unwrap();
    assert_eq!(queue.get(), Ok(1));
    let mut p = Process::spawned(|(): ()| (), ());
    let refused = p.start().unwrap_err().to_string();
    assert!(refused.contains("/proc"), "{refused}");
    // With threads it is refused as with /proc.
    std::thread::scope(|s| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        s.spawn(move || stopped.recv());
        let refused = Process::new(|| ()).start().unwrap_err().to_string();
        assert!(refused.contains("thread"), "{refused}");
        drop(stop);
    });
}
