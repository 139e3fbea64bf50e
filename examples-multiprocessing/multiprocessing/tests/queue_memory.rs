//! What memory a queue takes: in a process without other tests, to be counted.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use multiprocessing::Queue;
use tutorial::harness::Watchdog;

#[test]
fn a_put_without_a_limit_never_waits_and_a_backlog_gives_its_memory_back() {
    let _watchdog = Watchdog::start();
    let q = Queue::new(0).unwrap();
    // Without a backlog they go round in 2 MiB, however many they are.
    for _ in 0..1000 {
        q.put("7".repeat(50_000)).unwrap();
        q.get().unwrap();
    }
    let shared = shared_memory_of_this_process();
    assert!((2 << 20..4 << 20).contains(&shared), "{shared} bytes");

    let item = || "7".repeat(1 << 20);
    let small_items = || {
        for _ in 0..1000 {
            q.put("7".repeat(1000)).unwrap();
            q.get().unwrap();
        }
    };
    for _ in 0..2 {
        for _ in 0..100 {
            q.put(item()).unwrap();
        }
        assert_eq!(q.qsize(), 100);
        for _ in 0..100 {
            assert!(q.get().unwrap() == item());
        }
        let taken = Instant::now();
        small_items();
        let shared = shared_memory_of_this_process();
        // It is kept for half a second, as the next backlog may need it. On a busy machine
        // that may be over by now.
        if taken.elapsed() < Duration::from_millis(400) {
            assert!(shared > 100 << 20, "{shared} bytes are held");
        }
    }
    // Small items for a while: they do not need it.
    for _ in 0..3 {
        small_items();
        thread::sleep(Duration::from_millis(500));
    }
    let shared = shared_memory_of_this_process();
    assert!(shared < 5 << 20, "{shared} bytes are still held");
}

/// As far as anonymous files of the library are concerned.
fn shared_memory_of_this_process() -> u64 {
    let mut total = 0;
    for fd in fs::read_dir("/proc/self/fd").unwrap() {
        let path = fd.unwrap().path();
        let named = fs::read_link(&path).unwrap_or_default();
        if named.to_string_lossy().contains("memfd:multiprocessing")
            && let Ok(file) = fs::metadata(&path)
        {
            total += file.blocks() * 512;
        }
    }
    total
}
