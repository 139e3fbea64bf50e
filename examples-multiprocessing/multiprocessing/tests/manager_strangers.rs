//! Ten thousand strangers at a manager's server. In a process of its own: it measures the
//! whole process, and raises its limit of descriptors.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use multiprocessing::managers::{Address, LockProxy, SyncManager};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tutorial::harness::Watchdog;

/// Far more than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(20);

fn client(address: &Address) -> SyncManager {
    let mut manager = SyncManager::new(address, b"abc");
    manager.connect().unwrap();
    manager
}

fn dial(address: &Address) -> TcpStream {
    let stream = TcpStream::connect(address.to_string()).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream
}

/// What this process has in memory, in KiB.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn ten_thousand_silent_connections_do_not_keep_clients_out() {
    let _watchdog = Watchdog::start();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let count = 10_000.min(hard.saturating_sub(500));
    if count < 10_000 {
        println!("ONLY {count} CONNECTIONS: the limit of descriptors is {hard}.");
    }
    let server = SyncManager::new(("127.0.0.1", 0), b"abc")
        .get_server()
        .unwrap();
    let address = server.address().clone();
    let server = thread::spawn(move || server.serve_forever());
    let lock: LockProxy = client(&address).lock().unwrap();
    let (memory_before, threads_before) = (memory(), threads());
    let silent: Vec<_> = (0..count).map(|_| dial(&address)).collect();
    // One more, with the key.
    client(&address).list([0]).unwrap();
    assert!(lock.try_acquire().unwrap());
    let more_memory = memory().saturating_sub(memory_before);
    assert!(more_memory < 64 * 1024, "{more_memory} KiB more");
    let more_threads = threads().saturating_sub(threads_before);
    assert!(more_threads < 100, "{more_threads} threads more");
    // The oldest were turned away without a word beyond the challenge.
    let mut received = Vec::new();
    // It fails if the connection is reset.
    (&silent[0]).read_to_end(&mut received).ok();
    assert!(received.len() <= 4 + 59, "{received:?}");
    drop(silent);
    let start = Instant::now();
    while threads() > threads_before + 5 {
        assert!(start.elapsed() < HANG, "{} threads are left", threads());
        thread::sleep(Duration::from_millis(5));
    }
    drop(lock);
    client(&address).shutdown().unwrap();
    server.join().unwrap();
}
