//! The tests of managers of `CPython` itself, and random calls, with our server in the
//! place of Python's.
//!
//! It has a `main` of its own: the same program is the server that the scripts start.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use multiprocessing::managers::{Address, Exception, Methods, SyncManager, Value};
use queue::Queue;
use tempfile::TempDir;
use tutorial::harness::{pythons, script};

/// The folder of the scripts.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    if let [serve, key, address, fd] = args.as_slice()
        && serve == "serve"
    {
        self::serve(key, address, fd);
        return;
    }
    // For temporary files of the scripts: a Python process that a test kills leaves its own.
    let scratch = TempDir::with_prefix("conformance-").unwrap();
    let scratch = scratch.path();
    for python in pythons() {
        thread::scope(|scope| {
            scope.spawn(|| cpythons_own_tests_pass(&python, scratch));
            random_calls_have_the_results_they_have_with_pythons_server(
                &python, scratch,
            );
        });
    }
}

/// The tests that cannot pass, and why.
const CANNOT_PASS: &[(&str, &str)] = &[
    (
        "TestSyncManagerTypes.test_pool",
        "there are no managed pools: their tasks are Python functions",
    ),
    (
        "WithManagerTestBarrier.test_action",
        "a barrier's action is a Python function",
    ),
    (
        "TestSyncManagerTypes.test_lock",
        "a process ends while it holds the lock, which is released then",
    ),
    (
        "TestSyncManagerTypes.test_bounded_semaphore",
        "a process ends while it holds a permit, which comes back then",
    ),
];

fn cpythons_own_tests_pass(python: &str, scratch: &Path) {
    let server = env::current_exe().unwrap();
    let suite = script(python, &Path::new(PYTHON).join("cpython_suite.py"))
        .arg(server.to_str().unwrap())
        .env("TMPDIR", scratch)
        .run();
    // The tests print warnings of their own, which are not failures.
    assert!(suite.status.success(), "{python}: {:#?}", suite.errors);
    let lines = suite.lines;
    if lines == ["NO test PACKAGE"] {
        println!("{python} HAS NO test PACKAGE: CPython's own tests were not run.");
        return;
    }
    let unexpected: Vec<_> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("FAILED "))
        .filter(|test| !CANNOT_PASS.iter().any(|(known, _)| test.starts_with(known)))
        .collect();
    assert!(unexpected.is_empty(), "{python}: {unexpected:#?}");
    assert!(lines.len() > 10, "{python} ran only {lines:#?}");
    for line in lines.iter().filter(|line| !line.starts_with("FAILED")) {
        println!("{python}: {line}");
    }
    for (test, reason) in CANNOT_PASS {
        println!("{python}: {test} CANNOT PASS: {reason}.");
    }
}

fn random_calls_have_the_results_they_have_with_pythons_server(
    python: &str,
    scratch: &Path,
) {
    let server = env::current_exe().unwrap();
    let calls = env::var("CALLS").unwrap_or_else(|_| "2000".into());
    let seed = env::var("SEED").unwrap_or_default();
    let differential = script(python, &Path::new(PYTHON).join("differential.py"))
        .arg(server.to_str().unwrap())
        .arg(calls)
        .arg(seed)
        .env("TMPDIR", scratch)
        .run();
    for line in differential.success() {
        println!("{python}: {line}");
    }
}

/// The server that the scripts start: of the ready-made types, and of those that
/// `CPython`'s tests register.
fn serve(key: &str, address: &str, fd: &str) {
    let key: Vec<u8> = (0..key.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap())
        .collect();
    let address: Address = address.parse().unwrap();
    let mut manager = SyncManager::new(&address, key);
    let text = |text: &'static str| move |(): &(), (): ()| Ok::<_, Exception>(text);
    manager.register("Foo", move || {
        let g = |(): &(), (): ()| {
            Err::<(), _>(Exception::new("builtins", "ValueError", vec![]))
        };
        Arc::new(Methods::new(()).method("f", text("f()")).method("g", g))
    });
    manager.register("Bar", move || {
        let bar = Methods::new(()).method("f", text("f()"));
        Arc::new(bar.method("_h", text("_h()")))
    });
    manager.register("baz", || {
        let squares = Mutex::new((0..10_i64).map(|i| i * i));
        Arc::new(Methods::new(squares).method("__next__", |squares, ()| {
            let next = squares.lock().unwrap().next();
            next.ok_or_else(Exception::stop_iteration)
        }))
    });
    let queue = Arc::new(Queue::<Value>::new(0));
    manager.register("get_queue", move || Arc::clone(&queue));

    let server = manager.get_server().unwrap();
    let bound = match server.address() {
        Address::Tcp { host, port } => Value::from((host.as_str(), *port)),
        other => Value::from(other.to_string()),
    };
    let bound = bound.dumps().unwrap();
    let mut writer = OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"))
        .unwrap();
    let length = u32::try_from(bound.len()).unwrap().to_be_bytes();
    writer
        .write_all(&[&length, bound.as_slice()].concat())
        .unwrap();
    drop(writer);
    let parent = parent_id();
    thread::spawn(move || {
        while parent_id() == parent {
            thread::sleep(Duration::from_millis(200));
        }
        std::process::exit(1);
    });
    server.serve_forever();
}
