//! Processes on several machines, N16 and N17: ours and Python's at either end.

use std::env;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use multiprocessing::managers::{BaseManager, Value};
use queue::Queue;
use tutorial::harness::{Finished, free_port, listing, pythons, script, unique};

/// The folder of the tutorial's own scripts.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");

/// A port that was free a moment ago, on a loopback address that is this process's own
/// in all likelihood, so that nobody takes it in between.
fn free_address() -> (String, u16) {
    let id = std::process::id();
    let host = format!("127.{}.{}.1", 1 + id / 256 % 254, id % 256);
    let port = TcpListener::bind((host.as_str(), 0))
        .unwrap()
        .local_addr()
        .unwrap();
    (host, port.port())
}

fn squares_ten_numbers(master: Finished, worker: Finished, address: &str) {
    let (master, worker) = (master.success(), worker.success());
    let tasks: Vec<i64> = master[..10]
        .iter()
        .map(|line| {
            let n = line.strip_prefix("Put task ").unwrap();
            n.strip_suffix("...").unwrap().parse().unwrap()
        })
        .collect();
    assert_eq!(master[10], "Try get results...");
    let results = tasks
        .iter()
        .map(|n| format!("Result: {n} * {n} = {}", n * n));
    assert_eq!(master[11..21], results.collect::<Vec<_>>());
    assert_eq!(master[21..], ["master exit."]);

    assert_eq!(worker[0], format!("Connect to server {address}..."));
    let runs = tasks.iter().map(|n| format!("run task {n} * {n}..."));
    assert_eq!(worker[1..11], runs.collect::<Vec<_>>());
    assert_eq!(worker[11..], ["worker exit"]);
}

#[test]
fn our_master_and_our_worker_square_ten_numbers() {
    let (host, port) = free_address();
    let address = format!("{host}:{port}");
    let mut master = listing!("task_master").arg(&address).start();
    // The worker waits for a fiftieth of a second for a task that is not there yet.
    master.line_with("Try get");
    let worker = listing!("task_worker").arg(&address).tempo(50).run();
    squares_ten_numbers(master.finish(), worker, &address);
}

#[test]
fn they_do_so_over_a_socket_file_and_leave_none() {
    let path = env::temp_dir().join(unique("task")).join("socket");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let address = path.to_str().unwrap();
    let mut master = listing!("task_master").arg(address).start();
    master.line_with("Try get");
    let worker = listing!("task_worker").arg(address).tempo(50).run();
    squares_ten_numbers(master.finish(), worker, address);
    // It fails unless it is empty.
    std::fs::remove_dir(path.parent().unwrap()).unwrap();
}

#[test]
fn our_master_takes_pythons_worker() {
    for python in pythons() {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let mut master = listing!("task_master").arg(&address).start();
        master.line_with("Try get");
        let worker = script(&python, &Path::new(PYTHON).join("task_worker.py"))
            .arg(port.to_string())
            .run();
        squares_ten_numbers(master.finish(), worker, "127.0.0.1");
        println!("our master with the worker of {python}");
    }
}

#[test]
fn our_worker_takes_pythons_master() {
    for python in pythons() {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let mut master = script(&python, &Path::new(PYTHON).join("task_master.py"))
            .arg(port.to_string())
            .start();
        master.line_with("Try get");
        let worker = listing!("task_worker").arg(&address).tempo(50).run();
        squares_ten_numbers(master.finish(), worker, &address);
        println!("the master of {python} with our worker");
    }
}

/// A server in a thread, which lives as long as these tests; its address.
fn serve(manager: BaseManager) -> String {
    let server = manager.get_server().unwrap();
    let address = server.address().to_string();
    thread::spawn(move || server.serve_forever());
    address
}

#[test]
fn task_worker_distinguishes_an_absent_server_a_wrong_key_and_an_empty_queue() {
    let absent = listing!("task_worker").arg("127.0.0.1:1").run();
    assert_eq!(absent.status.code(), Some(1));
    assert_eq!(absent.lines, ["Connect to server 127.0.0.1:1..."]);
    assert_eq!(
        absent.errors[0],
        "Error: No server answers at 127.0.0.1:1 (Connection refused (os error 111)): \
         start the server first."
    );

    let address = serve(BaseManager::new(("127.0.0.1", 0), b"cba"));
    let wrong_key = listing!("task_worker").arg(&address).run();
    assert_eq!(wrong_key.status.code(), Some(1));
    assert_eq!(
        wrong_key.errors[0],
        format!(
            "Error: The server at {address} has another authkey: give both sides the \
             same."
        )
    );

    let mut manager = BaseManager::new(("127.0.0.1", 0), b"abc");
    for queue in ["get_task_queue", "get_result_queue"] {
        manager.register(queue, || Arc::new(Queue::<Value>::new(0)));
    }
    let address = serve(manager);
    let empty = listing!("task_worker")
        .arg(address)
        .tempo(50)
        .run()
        .success();
    assert_eq!(empty[1..11], ["task queue is empty"; 10]);
    assert_eq!(empty[11..], ["worker exit"]);
}

#[test]
fn a_wrong_argument_and_a_taken_port_are_one_plain_sentence() {
    let wrong = listing!("task_master").arg("here").run();
    assert_eq!(wrong.status.code(), Some(1));
    let sentence = &wrong.errors[0];
    assert!(sentence.contains("host:port"), "{sentence}");
    let address = serve(BaseManager::new(("127.0.0.1", 0), b"abc"));
    let taken = listing!("task_master").arg(address).run();
    let sentence = &taken.errors[0];
    assert!(sentence.contains("cannot be listened to"), "{sentence}");
}

#[test]
fn a_master_without_a_worker_says_so_after_its_ten_seconds_whatever_the_tempo() {
    let (host, port) = free_address();
    let start = Instant::now();
    let master = listing!("task_master")
        .arg(format!("{host}:{port}"))
        .tempo(25);
    let master = master.run();
    assert!(start.elapsed() >= Duration::from_secs(10));
    assert_eq!(master.status.code(), Some(1), "{master:#?}");
    let sentence =
        "Error: No worker came within ten seconds: start task_worker meanwhile.";
    assert_eq!(master.errors, [sentence]);
}
