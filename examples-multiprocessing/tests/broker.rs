//! The listings over a broker: the tutorial's ten squares, also when a worker is killed.
//!
//! Each test starts a `redis-server` of its own. Where none is installed, they are
//! ignored and say so; with `BROKER_TESTS=required` they fail.

use std::env;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tutorial::harness::{Finished, Running, listing};

fn main() {
    let version = Command::new("redis-server").arg("--version").output();
    let there = version.is_ok_and(|output| output.status.success());
    let required = env::var("BROKER_TESTS").is_ok_and(|value| value == "required");
    let tests: [(&str, fn()); 3] = [
        ("two_workers_square_ten_numbers", two_workers),
        ("a_killed_worker_costs_nothing", killed_worker),
        ("an_absent_broker_is_one_plain_sentence", absent),
    ];
    let trials = tests.map(|(name, test)| {
        if there || required {
            Trial::test(name, move || {
                test();
                Ok(())
            })
        } else {
            let why = "redis-server is not installed: apt-get install redis-server";
            Trial::test(format!("{name} ({why})"), || Ok(())).with_ignored_flag(true)
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

/// A broker with files in a folder of its own.
struct Server {
    process: Child,
    /// Removed with this value, once the process has ended.
    _folder: TempDir,
    address: String,
}

impl Server {
    fn start() -> Self {
        // None that the system gives to a connection: this one's might have it.
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let number = NUMBER.fetch_add(1000, Ordering::Relaxed);
        let first = (std::process::id() % 10_000) as u16 + 10_000 + number;
        let port = (first..first + 10_000)
            .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .unwrap();
        let folder = TempDir::with_prefix("broker-").unwrap();
        // It ends with this thread, however that ends.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server", "--appendonly", "yes"])
            .args([
                "--save",
                "",
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
            ])
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let waited = start.elapsed();
            assert!(
                waited < Duration::from_secs(30),
                "the server does not start"
            );
            sleep(Duration::from_millis(5));
        }
        let address = format!("redis://127.0.0.1:{port}/0");
        Self {
            process,
            _folder: folder,
            address,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn worker(server: &Server) -> Running {
    let mut worker = listing!("broker_worker")
        .arg(&server.address)
        .tempo(10)
        .start();
    worker.line_with("Connect to server");
    worker
}

/// Insists on ten tasks and their results in order, and gives the tasks.
fn ten_squares(master: Finished) -> Vec<i64> {
    let lines = master.success();
    let tasks: Vec<i64> = lines[..10]
        .iter()
        .map(|line| {
            let n = line.strip_prefix("Put task ").unwrap();
            n.strip_suffix("...").unwrap().parse().unwrap()
        })
        .collect();
    assert_eq!(lines[10], "Try get results...");
    let results = tasks
        .iter()
        .map(|n| format!("Result: {n} * {n} = {}", n * n));
    assert_eq!(lines[11..21], results.collect::<Vec<_>>());
    assert_eq!(lines[21..], ["master exit."]);
    tasks
}

fn ends(worker: Running) -> Vec<String> {
    // Its processes too, as Ctrl+C does.
    worker.signal(Signal::SIGINT);
    let lines = worker.finish().success();
    assert_eq!(lines.last().map(String::as_str), Some("worker exit"));
    lines
}

fn two_workers() {
    let server = Server::start();
    let workers = [worker(&server), worker(&server)];
    let tasks = ten_squares(listing!("broker_master").arg(&server.address).run());
    let mut ran: Vec<_> = workers.into_iter().flat_map(ends).collect();
    ran.retain(|line| line.starts_with("run task"));
    ran.sort();
    let mut expected: Vec<_> = tasks
        .iter()
        .map(|n| format!("run task {n} * {n}..."))
        .collect();
    expected.sort();
    assert_eq!(ran, expected);
}

fn killed_worker() {
    let server = Server::start();
    let (mut first, second) = (worker(&server), worker(&server));
    let master = listing!("broker_master").arg(&server.address).start();
    first.line_with("run task");
    first.signal(Signal::SIGKILL);
    ten_squares(master.finish());
    ends(second);
}

fn absent() {
    for name in [listing!("broker_master"), listing!("broker_worker")] {
        let run = name.arg("redis://127.0.0.1:1/0").run();
        assert_eq!(run.status.code(), Some(1));
        assert_eq!(
            run.errors,
            [
                "Error: No broker answers at 127.0.0.1:1 (Connection refused (os error \
              111)): start one, as by `redis-server --appendonly yes` of Debian's \
              package redis-server."
            ]
        );
    }
}
