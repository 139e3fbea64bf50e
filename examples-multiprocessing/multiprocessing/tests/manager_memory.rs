//! How much memory a small pickle can take. In a process of its own: it measures the
//! whole process.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use multiprocessing::managers::{PickleError, SyncManager, Value};
use tutorial::harness::{Random, Watchdog};

/// Far more than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(20);

/// What one message may take, as the module's page says.
const PROMISED: u64 = 256 * 1024;

/// What else the process takes meanwhile: the message, thread stacks, the allocator.
const SLACK: u64 = 64 * 1024;

/// A line of `/proc/self/status`, in KiB.
fn memory(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|found| found.starts_with(line));
    let size = line.unwrap().split_whitespace().nth(1);
    size.unwrap().parse().unwrap()
}

/// The most memory that the process had while this ran beyond what it had `before`, in
/// KiB.
fn peak(before: u64, run: impl FnOnce()) -> u64 {
    // Resets the high-water mark: proc(5), /proc/pid/clear_refs.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    run();
    memory("VmHWM").saturating_sub(before)
}

/// A pickle in which each value contains the one before several times, by the memo.
/// `leaf` pushes the first value, `wrap` makes one of that which is fetched by `get`.
fn shared(leaf: &[u8], levels: u8, wrap: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut pickle = [b"\x80\x04", leaf, b"\x94" as &[u8], b"0"].concat();
    for level in 0..levels {
        pickle.extend(wrap(&[b'h', level]));
        pickle.extend(b"\x940");
    }
    pickle.extend([b'h', levels, b'.']);
    pickle
}

/// A pickle of 8 MiB that repeats these operations within a tuple.
fn many(operations: &[u8]) -> Vec<u8> {
    let operations = operations.repeat((8 << 20) / operations.len());
    [b"\x80\x04(" as &[u8], &operations, b"t."].concat()
}

/// Pickles of what is large, by what they consist of.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let pair = |get: &[u8]| [get, get, b"\x86"].concat();
    let list = |get: &[u8]| [b"](", get, get, b"e"].concat();
    let dict = |get: &[u8]| [b"}(K\x00", get, b"K\x01", get, b"u"].concat();
    let empty_queue = b"\x8c\x05queue\x8c\x05Empty\x93)R";
    let exception = |get: &[u8]| {
        [
            b"\x8c\x08builtins\x8c\x09Exception\x93" as &[u8],
            get,
            get,
            b"\x86R",
        ]
        .concat()
    };
    let date = b"\x8c\x08datetime\x8c\x04date\x93C\x04\x07\xe4\x01\x01\x85R";
    let deque = |get: &[u8]| {
        [
            b"\x8c\x0bcollections\x8c\x05deque\x93)R(" as &[u8],
            get,
            get,
            b"e",
        ]
        .concat()
    };
    let set = |get: &[u8]| [b"(" as &[u8], get, b"K\x01\x91\x85K\x01\x86"].concat();
    let text = [b"X\x00\x00\x10\x00" as &[u8], &vec![b'x'; 1 << 20]].concat();
    let big = [b"\x8b\x00\x00\x10\x00" as &[u8], &vec![1; 1 << 20]].concat();
    vec![
        ("pairs", shared(b")", 60, pair)),
        ("lists", shared(b"]", 60, list)),
        ("dicts", shared(b"}", 60, dict)),
        ("exceptions", shared(empty_queue, 60, exception)),
        ("dates", shared(date, 60, pair)),
        ("deques", shared(b")", 60, deque)),
        ("frozensets", shared(b"K\x02", 60, set)),
        ("texts of a MiB", shared(&text, 20, pair)),
        ("ints of a MiB", shared(&big, 20, pair)),
        ("short texts", shared(b"\x8c\x01x", 60, list)),
        ("8 million lists", many(b"]")),
        ("8 million dicts", many(b"}")),
        ("4 million marks", many(b"(1")),
        ("4 million tuples in tuples", many(b")\x85")),
    ]
}

/// The operations that values are made of.
const OPERATIONS: &[u8] =
    b"NKMJGXCB)](}eastuRbc0(12hjqr\x80\x81\x85\x86\x87\x88\x89\x8a\
    \x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96.";

#[test]
fn messages_take_no_more_memory_than_promised_and_give_it_back() {
    let bombs = bombs();
    let before = memory("VmRSS");
    for (name, bomb) in bombs {
        let peak = peak(before, || match Value::loads(&bomb) {
            Ok(value) => drop(value),
            Err(PickleError::TooBig | PickleError::TooDeep) => {}
            Err(other) => panic!("{name}: {other}"),
        });
        let left = memory("VmRSS").saturating_sub(before);
        println!(
            "{name}: {} bytes took {peak} KiB, {left} are left",
            bomb.len()
        );
        assert!(peak < PROMISED + SLACK, "{name} took {peak} KiB");
    }

    // What occurs several times takes its memory once.
    let text = Value::from("x".repeat(1 << 20));
    let texts = Value::from(vec![text; 200]).dumps().unwrap();
    let once = peak(before, || drop(Value::loads(&texts).unwrap()));
    println!("a text of a MiB, 200 times, took {once} KiB");
    assert!(once < SLACK, "{once} KiB");

    // Any other pickles, of operations in any order, and of changed bombs.
    let mut random = Random::seeded();
    let mut below = |end: usize| random.below(end as u64) as usize;
    let fuzzed = peak(before, || {
        let bombs = self::bombs();
        for round in 0..20_000 {
            // A bomb takes about a second to go off, so only few are tried.
            let pickle = if round % 5_000 == 0 {
                let (_, bomb) = &bombs[below(8)];
                let mut bomb = bomb.clone();
                for _ in 0..=below(4) {
                    let place = below(bomb.len());
                    bomb[place] = below(256) as u8;
                }
                bomb
            } else {
                let length = below(300);
                let operations = (0..length).map(|_| match below(4) {
                    0 => below(12) as u8,
                    _ => OPERATIONS[below(OPERATIONS.len())],
                });
                [b"\x80\x04]\x94".to_vec(), operations.collect()].concat()
            };
            // A value or an error.
            drop(Value::loads(&pickle));
        }
    });
    println!("the largest of 20000 random pickles took {fuzzed} KiB");
    assert!(fuzzed < PROMISED + SLACK, "{fuzzed} KiB");

    // Several clients at once, and what they took is given back.
    let _watchdog = Watchdog::start();
    let server = SyncManager::new(("127.0.0.1", 0), b"abc")
        .get_server()
        .unwrap();
    let address = server.address().clone();
    let server = thread::spawn(move || server.serve_forever());
    let mut manager = SyncManager::new(&address, b"abc");
    manager.connect().unwrap();
    let clients = 3;
    let peak = peak(before, || {
        thread::scope(|s| {
            for _ in 0..clients {
                s.spawn(|| {
                    let list = manager.list([0]).unwrap();
                    let text = "x".repeat(1 << 20);
                    let items = vec![text; 40];
                    list.proxy().call::<()>("extend", (items,)).unwrap();
                    list.proxy().call::<()>("clear", ()).unwrap();
                });
            }
        });
    });
    println!("{clients} clients at once took {peak} KiB");
    assert!(peak < clients * (PROMISED + SLACK), "{peak} KiB");
    // The server gives memory back right before or after its last reply.
    let start = Instant::now();
    while memory("VmRSS").saturating_sub(before) > SLACK {
        assert!(
            start.elapsed() < HANG,
            "{} KiB are left",
            memory("VmRSS") - before
        );
        thread::sleep(Duration::from_millis(10));
    }
    manager.shutdown().unwrap();
    server.join().unwrap();
}
