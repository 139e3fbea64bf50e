//! What does a pool cost whose workers are elsewhere?
//!
//! Everything runs on this machine: a `redis-server` of the bench's own, which writes its
//! append-only file, and a worker with two processes. Each raw loop does for a task what
//! no design over Redis streams can do without, by plain commands.

use std::cell::RefCell;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::{Bench, Of, Results, Row, Scenario};
use multiprocessing::broker::Tasks;
use multiprocessing::{Pool, Process};
use redis::{Cmd, Connection, FromRedisValue, Pipeline, Value};

const QUESTION: &str = "broker";

/// The processes that run tasks, of each task queue.
const WORKERS: usize = 2;
/// The tasks of a batch.
const COUNT: u64 = 1000;
/// The tasks of a batch that the slower task queues are given, too.
const FEW: u64 = 100;
/// The tasks that a raw loop sends, takes and reports at a time.
const PIECE: u64 = 64;

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let Some(server) = Server::start()? else {
        eprintln!(
            "skipped: {QUESTION}: redis-server is not installed, see `apt-get install \
             redis-server`"
        );
        return Ok(());
    };
    let url = server.url();
    let worker = Program::start(env::current_exe()?, [WORKER, &url])?;
    let raw_worker = raw_worker(&url)?;
    // This comes after the fork, as a pool over a broker has threads.
    let pool = &Pool::builder().broker(&url).tasks(tasks()).start()?;
    let raw = &RefCell::new(Raw::new(&url)?);
    one_by_one(bench, pool, raw, &url);
    at_once(bench, pool, raw);
    beside_others(bench, pool, &url);
    cpu(bench, pool, raw);
    drop(worker);
    raw_worker.terminate()?;
    raw_worker.join()?;
    Ok(())
}

fn no_task(number: u64) -> u64 {
    number + 1
}

fn tasks() -> Tasks {
    Tasks::new().add("no_task", no_task)
}

/// As the first argument, has this program be a worker of the broker at the second.
pub(crate) const WORKER: &str = "--broker-worker";

pub(crate) fn serve(url: &str) -> anyhow::Result<()> {
    Ok(tasks().worker(url)?.processes(WORKERS).serve()?)
}

/// A program that ends with this one, however this one ends.
struct Program(Child);

impl Program {
    fn start<S: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = S>,
    ) -> std::io::Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program);
        command.args(arguments).stdout(Stdio::null());
        command.spawn().map(Self)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What cannot be ended has ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The other side of the raw loop of two processes.
fn raw_worker(url: &str) -> anyhow::Result<Process<'static>> {
    // It makes the group.
    let mut raw = Raw::new(url)?;
    // It waits without asking again, so that it is not counted while all are idle.
    raw.0.set_read_timeout(None)?;
    let mut worker = Process::builder().daemon(true).target(move || {
        // An error ends this process, and then the loop waits too long and fails.
        while let Ok(entries) = raw.take(APART, 1)
            && raw.finish(APART, &entries).is_ok()
        {}
    });
    worker.start()?;
    Ok(worker)
}

/// A `redis-server` with its files in a folder of its own.
struct Server {
    /// None while the server is being dropped.
    program: Option<Program>,
    port: u16,
    folder: PathBuf,
}

impl Server {
    /// Starts one that keeps what it has acknowledged; nothing if none is installed.
    fn start() -> anyhow::Result<Option<Self>> {
        let folder = env::temp_dir().join(format!("bench-{}", std::process::id()));
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let version = Command::new("redis-server").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            return Ok(None);
        }
        fs::create_dir(&folder)?;
        let (port_text, folder_text) =
            (port.to_string(), folder.display().to_string());
        let options = ["--port", &port_text, "--bind", "127.0.0.1", "--save", ""];
        let keep = ["--appendonly", "yes", "--dir", &folder_text];
        let program = Program::start("redis-server", options.iter().chain(&keep))?;
        let server = Self {
            program: Some(program),
            port,
            folder,
        };
        let start = Instant::now();
        while connect(&server.url()).is_err() {
            ensure!(
                start.elapsed() < Duration::from_secs(10),
                "it does not start"
            );
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Some(server))
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.program = None;
        // What is left there does no harm.
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn connect(url: &str) -> redis::RedisResult<Connection> {
    use redis::IntoConnectionInfo;
    use redis::io::tcp::TcpSettings;

    let info = url.into_connection_info()?;
    let settings = TcpSettings::default().set_nodelay(true);
    let client = redis::Client::open(info.set_tcp_settings(settings))?;
    let connection = client.get_connection()?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(connection)
}

/// The keys of a raw loop, so that two loops share nothing.
#[derive(Clone, Copy)]
struct Keys {
    tasks: &'static str,
    done: &'static str,
}

/// Of the loops of one process.
const ALONE: Keys = Keys {
    tasks: "raw:tasks",
    done: "raw:done",
};
/// Of the loop of two processes.
const APART: Keys = Keys {
    tasks: "raw:tasks apart",
    done: "raw:done apart",
};

/// A connection that gives and takes tasks by plain commands.
struct Raw(Connection);

impl Raw {
    fn new(url: &str) -> anyhow::Result<Self> {
        let mut raw = Self(connect(url)?);
        for keys in [ALONE, APART] {
            let mut group = redis::cmd("XGROUP");
            group.arg("CREATE").arg(keys.tasks);
            group.arg("workers").arg("0").arg("MKSTREAM");
            // An error says that the other side has made it.
            raw.ask::<Value>(&group).ok();
        }
        Ok(raw)
    }

    fn ask<T: FromRedisValue>(&mut self, cmd: &Cmd) -> anyhow::Result<T> {
        Ok(cmd.query(&mut self.0)?)
    }

    fn send(&mut self, keys: Keys, count: u64) -> anyhow::Result<()> {
        let mut pipeline = Pipeline::new();
        for _ in 0..count {
            let add = pipeline.cmd("XADD").arg(keys.tasks).arg("*");
            add.arg("id").arg("sender-1").arg("task").arg("no_task");
            add.arg("args").arg("[0]").ignore();
        }
        Ok(pipeline.query(&mut self.0)?)
    }

    /// Waits for tasks, and takes up to this many.
    fn take(&mut self, keys: Keys, count: u64) -> anyhow::Result<Vec<String>> {
        type Entry = (String, Vec<String>);
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg("workers").arg("worker");
        read.arg("COUNT").arg(count).arg("BLOCK").arg(0);
        read.arg("STREAMS").arg(keys.tasks).arg(">");
        let read: Option<Vec<(String, Vec<Entry>)>> = self.ask(&read)?;
        let streams = read.unwrap_or_default().into_iter();
        let entries = streams.flat_map(|(_, entries)| entries);
        Ok(entries.map(|(entry, _)| entry).collect())
    }

    /// Reports the results and acknowledges the tasks in one transaction.
    fn finish(&mut self, keys: Keys, entries: &[String]) -> anyhow::Result<()> {
        let mut pipeline = Pipeline::new();
        pipeline.atomic();
        let push = pipeline.cmd("RPUSH").arg(keys.done);
        for _ in entries {
            push.arg("sender-1 {\"ok\":1}");
        }
        push.ignore();
        let acknowledge = pipeline.cmd("XACK").arg(keys.tasks).arg("workers");
        acknowledge.arg(entries).ignore();
        pipeline.cmd("XDEL").arg(keys.tasks).arg(entries).ignore();
        Ok(pipeline.query(&mut self.0)?)
    }

    /// Waits for a result.
    fn result(&mut self, keys: Keys) -> anyhow::Result<u64> {
        let mut pop = redis::cmd("BLPOP");
        pop.arg(keys.done).arg(5);
        let popped: Option<(String, String)> = self.ask(&pop)?;
        popped.context("no result came in five seconds")?;
        Ok(1)
    }

    /// One task, all four steps by this process.
    fn one(&mut self) -> anyhow::Result<u64> {
        self.send(ALONE, 1)?;
        let entries = self.take(ALONE, 1)?;
        self.finish(ALONE, &entries)?;
        self.result(ALONE)
    }

    /// One task, taken and finished by another process.
    fn one_apart(&mut self) -> anyhow::Result<u64> {
        self.send(APART, 1)?;
        self.result(APART)
    }

    /// A batch of tasks in pieces.
    fn batch(&mut self, count: u64) -> anyhow::Result<u64> {
        let mut left = count;
        while left > 0 {
            let piece = left.min(PIECE);
            self.send(ALONE, piece)?;
            let entries = self.take(ALONE, piece)?;
            ensure!(entries.len() as u64 == piece, "tasks are missing");
            self.finish(ALONE, &entries)?;
            let mut pop = redis::cmd("LPOP");
            let popped: Vec<String> = self.ask(pop.arg(ALONE.done).arg(piece))?;
            ensure!(popped.len() as u64 == piece, "results are missing");
            left -= piece;
        }
        Ok(count)
    }

    /// The time that the server's main thread has worked.
    fn cpu(&mut self) -> anyhow::Result<Duration> {
        let about: String = self.ask(redis::cmd("INFO").arg("cpu"))?;
        let names = ["used_cpu_sys_main_thread:", "used_cpu_user_main_thread:"];
        let times = names.map(|name| {
            let time = about.lines().find_map(|line| line.strip_prefix(name));
            Ok(time.context("it does not say so")?.trim().parse::<f64>()?)
        });
        let [system, user]: [anyhow::Result<f64>; 2] = times;
        Ok(Duration::from_secs_f64(system? + user?))
    }

    /// The number of commands that the workers and senders, which are idle now, have sent.
    /// Commands inside scripts do not count.
    fn commands(&mut self) -> anyhow::Result<u64> {
        let about: String = self.ask(redis::cmd("INFO").arg("commandstats"))?;
        let sent = ["evalsha", "xreadgroup", "xread", "xtrim", "client|id"];
        let mut count = 0;
        for name in sent {
            let start = format!("cmdstat_{name}:calls=");
            let line = about.lines().find_map(|line| line.strip_prefix(&start));
            let calls = line.and_then(|rest| rest.split(',').next());
            count += calls.map_or(Ok(0), str::parse::<u64>)?;
        }
        Ok(count)
    }
}

fn apply(pool: &Pool) -> anyhow::Result<u64> {
    Ok(pool.apply(no_task, (0,))?)
}

fn map(pool: &Pool, count: u64) -> anyhow::Result<u64> {
    let results = pool.map(no_task, (0..count).map(|_| 0))?;
    Ok(results.into_iter().sum())
}

fn map_by_one(pool: &Pool, count: u64) -> anyhow::Result<u64> {
    let pool = pool.chunksize(1);
    let results = pool.map(no_task, (0..count).map(|_| 0))?;
    Ok(results.into_iter().sum())
}

const RAW: &str = "raw loop, one process";
const RAW_APART: &str = "raw loop, two processes";
const RAW_BATCH: &str = "raw loop by 64";

/// The task queues of Python: their names, their names for the driver, and how they differ
/// from ours.
const OTHERS: [(&str, &str, &str); 3] = [
    (
        "Celery",
        "celery",
        "acknowledged late, results kept a day; the result is announced by PUBLISH, so \
         the sender does not look for it",
    ),
    (
        "dramatiq",
        "dramatiq",
        "acknowledged after they ran, results kept ten minutes; one thread a process, \
         where its default is eight",
    ),
    (
        "RQ",
        "rq",
        "forks a process for each task, as by default: more isolation than the others \
         have; its sender can only look for the result, here each millisecond",
    ),
];

/// Their batches take much longer than ours.
const PYTHON_ROUNDS: usize = 5;

fn others(
    mut scenario: Scenario<'_>,
    call: impl Fn(&str) -> String,
) -> Scenario<'_> {
    for (name, module, note) in OTHERS {
        let row = Row::only_python(name).workers(WORKERS).unlimited();
        let row = row.python(call(module)).python_rounds(PYTHON_ROUNDS);
        scenario = scenario.row(row.note(note));
    }
    scenario
}

fn one_by_one(bench: &mut Bench, pool: &Pool, raw: &RefCell<Raw>, url: &str) {
    let scenario = Scenario::new(
        QUESTION,
        "one task",
        format!(
            "a no-op task sent, run by one of {WORKERS} processes, its result got"
        ),
        1,
    )
    .rounds(11)
    .row(Row::timed("apply", || apply(pool)))
    .row(
        Row::timed(RAW, || raw.borrow_mut().one())
            .note("XADD, XREADGROUP, MULTI and BLPOP one after the other"),
    )
    .row(
        Row::timed(RAW_APART, || raw.borrow_mut().one_apart())
            .note("the same, XREADGROUP and MULTI in another process"),
    );
    let one_by_one = |module: &str| format!("broker.one_by_one {module} {url}");
    let scenario = others(scenario, one_by_one)
        .ceiling([2])
        .quote("a task over a broker", "apply", [RAW, RAW_APART])
        .says(|results| {
            Some(format!(
                "A task takes {} as long as the raw loop in one process, and {} as long \
                 as that in two.",
                results.times("apply", RAW)?,
                results.times("apply", RAW_APART)?,
            ))
        })
        .says(|results| beside(results, "apply"));
    bench.scenario(scenario);
}

/// The times that the other task queues take, beside a row.
fn beside(results: &Results, ours: &str) -> Option<String> {
    let times = OTHERS.iter().filter_map(|(name, ..)| {
        let label = format!("{name}/{WORKERS}");
        let ratio = results.ratio(Of::Python(&label), Of::Rust(ours))?;
        Some(format!("{name} takes {ratio} as long as {ours}."))
    });
    let sentences: Vec<_> = times.collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

fn at_once(bench: &mut Bench, pool: &Pool, raw: &RefCell<Raw>) {
    let scenario = Scenario::new(
        QUESTION,
        "many tasks",
        format!("{COUNT} no-op tasks sent together, all results got"),
        COUNT,
    )
    .rounds(11)
    .row(
        Row::timed("map by 1", || map_by_one(pool, COUNT))
            .note("each task is one at the broker"),
    )
    .row(
        Row::timed("map", || map(pool, COUNT))
            .unlimited()
            .note("in chunks, each of them one task at the broker"),
    )
    .row(
        Row::timed(RAW_BATCH, || raw.borrow_mut().batch(COUNT))
            .limit()
            .note("a piece is sent, taken, finished and got before the next"),
    )
    .ceiling([2])
    .quote(
        format!("`map` by 1, {COUNT} tasks over a broker"),
        "map by 1",
        [RAW_BATCH],
    )
    .says(|results| {
        let each = |label| results.each(label, COUNT as usize);
        Some(format!(
            "A task takes {} in map by 1, {} in map and {} in the raw loop.",
            each("map by 1")?,
            each("map")?,
            each(RAW_BATCH)?
        ))
    });
    bench.scenario(scenario);
}

fn beside_others(bench: &mut Bench, pool: &Pool, url: &str) {
    let scenario = Scenario::new(
        QUESTION,
        "task queues",
        format!("{FEW} no-op tasks sent together, all results got"),
        FEW,
    )
    .rounds(11)
    .row(Row::timed("map by 1", || map_by_one(pool, FEW)));
    let at_once = |module: &str| format!("broker.at_once {module} {url} {FEW}");
    let scenario = others(scenario, at_once)
        .ceiling([2])
        .says(|results| beside(results, "map by 1"));
    bench.scenario(scenario);
}

/// The server's own time, which limits how many workers it can serve.
fn cpu(bench: &mut Bench, pool: &Pool, raw: &RefCell<Raw>) {
    let of_server = |work: &dyn Fn() -> anyhow::Result<u64>, times: u64| {
        let before = raw.borrow_mut().cpu()?;
        let mut sum = 0;
        for _ in 0..times {
            sum += work()?;
        }
        let after = raw.borrow_mut().cpu()?;
        Ok((after.saturating_sub(before), sum))
    };
    let name = "the broker's processor";
    let sentence = |ours: &'static str, raw: &'static str| {
        move |results: &Results| {
            let times = results.times(ours, raw)?;
            Some(format!("Its time for {ours} is {times} that of the {raw}."))
        }
    };
    let one = Scenario::new(
        QUESTION,
        format!("{name}, one task"),
        "the time of the server's processor for a task that is sent and waited for",
        1,
    )
    .rounds(7)
    .budget(Duration::from_secs(1))
    .row(Row::new("apply", |times| of_server(&|| apply(pool), times)))
    .row(Row::new(RAW, |times| {
        of_server(&|| raw.borrow_mut().one(), times)
    }))
    .row(Row::new(RAW_APART, |times| {
        of_server(&|| raw.borrow_mut().one_apart(), times)
    }))
    .says(sentence("apply", RAW))
    .says(sentence("apply", RAW_APART))
    .says(|_| idle(&mut raw.borrow_mut()).ok());
    bench.scenario(one);
    let many = Scenario::new(
        QUESTION,
        format!("{name}, many tasks"),
        format!(
            "the time of the server's processor for {COUNT} tasks sent together"
        ),
        COUNT,
    )
    .rounds(7)
    .budget(Duration::from_secs(1))
    .row(Row::new("map by 1", |times| {
        of_server(&|| map_by_one(pool, COUNT), times)
    }))
    .row(Row::new(RAW_BATCH, |times| {
        of_server(&|| raw.borrow_mut().batch(COUNT), times)
    }))
    .says(sentence("map by 1", RAW_BATCH));
    bench.scenario(many);
}

/// What the worker and the sender, which are idle now, ask of the broker.
fn idle(raw: &mut Raw) -> anyhow::Result<String> {
    // What is left to do after the last task is done within this time.
    thread::sleep(Duration::from_millis(2500));
    let before = raw.commands()?;
    let start = Instant::now();
    thread::sleep(Duration::from_secs(10));
    let sent = raw.commands()? - before;
    let each_second = sent as f64 / start.elapsed().as_secs_f64();
    Ok(format!(
        "An idle worker sends {each_second:.1} commands a second."
    ))
}
