//! A broker for each test, and workers that are processes of this program.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A test that has waited this long for one thing fails.
pub(crate) const HANG: Duration = Duration::from_secs(50);

/// A `redis-server` on a free port, with its files in its own folder.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: TempDir,
    options: Vec<String>,
    process: Option<Child>,
}

/// The name of the server's program, if one is installed.
pub(crate) fn program() -> Option<&'static str> {
    ["redis-server", "valkey-server"].into_iter().find(|name| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

/// A port that was free a moment ago, below the range from which the system chooses ports
/// of outgoing connections. In that range, a connection could get the port of a server
/// that is dead for a moment, even a connection that is made to that server.
fn free_port(number: u32) -> u16 {
    let first = std::process::id()
        .wrapping_mul(41)
        .wrapping_add(number * 577);
    let ports =
        (0..20_000).map(|next| 10_000 + (first.wrapping_add(next) % 20_000) as u16);
    ports
        .into_iter()
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("there is a free port")
}

impl Server {
    /// Starts a server that writes its data to an append-only file. It gives every write to
    /// the system before it answers: with its default, `appendfsync everysec`, it may hold
    /// writes back for two seconds while the disk is slow, and a kill then loses them.
    pub(crate) fn start() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "no"])
    }

    pub(crate) fn with(options: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = TempDir::with_prefix("broker-test-").unwrap();
        let port = free_port(number);
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut this = Self {
            port,
            folder,
            options,
            process: None,
        };
        this.restart();
        this
    }

    /// Starts the server again with its files, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        self.start_again();
        self.wait_until_up();
    }

    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none());
        // The server ends with this thread, however the thread ends.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", program().unwrap()])
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--dir"])
            .arg(self.folder.path())
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    pub(crate) fn wait_until_up(&self) {
        let start = Instant::now();
        // An answer that a password is missing is an answer.
        let answers = |answer: redis::RedisResult<redis::Value>| {
            answer.map_or_else(
                |error| !error.is_io_error() && error.code() != Some("LOADING"),
                |_| true,
            )
        };
        while !answers(self.try_ask(&["PING"])) {
            assert!(start.elapsed() < HANG, "the server does not start");
            sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn try_ask(
        &self,
        words: &[&str],
    ) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let timeout = Duration::from_secs(10);
        let mut connection = client.get_connection_with_timeout(timeout)?;
        connection.set_read_timeout(Some(timeout))?;
        let mut cmd = redis::cmd(words[0]);
        for word in &words[1..] {
            cmd.arg(*word);
        }
        cmd.query(&mut connection)
    }

    /// Sends one command and returns the answer.
    pub(crate) fn ask(&self, words: &[&str]) -> redis::Value {
        self.try_ask(words).unwrap()
    }

    /// Sends one command and returns the number that it answers with.
    pub(crate) fn number(&self, words: &[&str]) -> i64 {
        redis::from_redis_value(self.ask(words)).unwrap()
    }

    /// The path of a file in the server's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// A worker: this program with `SUBJECT=worker`. The options may name another subject.
pub(crate) struct Worker {
    process: Child,
    stdout: mpsc::Receiver<String>,
}

impl Worker {
    pub(crate) fn start(url: &str, options: &[(&str, &str)]) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env("SUBJECT", "worker")
            .env("URL", url)
            .envs(options.iter().copied())
            .stdout(Stdio::piped())
            // The worker logs there when its broker goes away and comes back.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, stdout) = mpsc::channel();
        let pipe = process.stdout.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { process, stdout }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits until the worker has ended.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < HANG, "the worker does not end");
            sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    /// The next line that it prints.
    pub(crate) fn line(&self) -> Option<String> {
        self.stdout.recv_timeout(HANG).ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The child processes of `of`.
pub(crate) fn children(of: Pid) -> Vec<Pid> {
    let path = format!("/proc/{of}/task/{of}/children");
    let list = fs::read_to_string(path).unwrap_or_default();
    let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.map(Pid::from_raw).collect()
}

/// The processes that run a worker's tasks: the children of its pool's supervisor.
pub(crate) fn processes_of(worker: Pid) -> Vec<Pid> {
    children(worker).into_iter().flat_map(children).collect()
}

/// The lines of a file that tasks append to. There are none while there is no file.
pub(crate) fn effects(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until `condition` returns true; `what` names it for the message of a failure.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < HANG, "this did not happen: {what}");
        sleep(Duration::from_millis(5));
    }
}
