//! What it costs to start a program and wait for its end: the bare [`Command`], the
//! subprocess library, and Python's `subprocess`; from a parent that has touched
//! little memory, and from one that has touched much (a fork would copy its page
//! tables).

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use examples_subprocess::Popen;

const MIB: usize = 1 << 20;

fn bare() {
    Command::new("true").spawn().unwrap().wait().unwrap();
}

fn library() {
    Popen::new(&mut Command::new("true"))
        .unwrap()
        .wait()
        .unwrap();
}

fn time(call: fn()) -> Duration {
    let start = Instant::now();
    call();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Touches as much memory as it is told, then answers each number of rounds with the
/// seconds they took.
const PYTHON: &str = "
import subprocess, sys, time
touched = bytearray(b'1') * int(sys.argv[1])
print('ready', flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    for _ in range(int(line)):
        subprocess.Popen(['true']).wait()
    print(time.perf_counter() - start, flush=True)
";

/// A Python that waits for numbers of rounds. It ends when its input is closed.
struct Python {
    child: Popen,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Python {
    /// `None` where there is no Python.
    fn new(touched: usize) -> Option<Self> {
        let mut child = Popen::new(
            Command::new("python3")
                .args(["-c", PYTHON, &touched.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )
        .ok()?;
        let mut python = Self {
            stdin: child.stdin.take()?,
            stdout: BufReader::new(child.stdout.take()?),
            child,
        };
        (python.line() == "ready").then_some(python)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().into()
    }

    fn run(&mut self, rounds: u64) -> Duration {
        writeln!(self.stdin, "{rounds}").unwrap();
        Duration::from_secs_f64(self.line().parse().unwrap())
    }

    fn end(mut self) {
        drop(self.stdin);
        self.child.wait().unwrap();
    }
}

fn spawn(c: &mut Criterion) {
    for (name, touched) in [("1_MiB", MIB), ("1_GiB", 1024 * MIB)] {
        let mut group = c.benchmark_group(format!("spawn/{name}"));
        group.sampling_mode(SamplingMode::Flat);
        let memory = black_box(vec![1_u8; touched]);
        group.bench_function("bare", |b| b.iter(bare));
        // Each round beside a bare one, so that both meet the same machine: what
        // differs between them is the library.
        let (mut beside, mut through) = (Vec::new(), Vec::new());
        group.bench_function("library", |b| {
            b.iter_custom(|rounds| {
                let these = (0..rounds).map(|_| {
                    beside.push(time(bare));
                    let this = time(library);
                    through.push(this);
                    this
                });
                these.sum()
            });
        });
        if !through.is_empty() {
            let ratio = median(through).div_duration_f64(median(beside));
            println!("spawn/{name}: the library takes {ratio:.3} times the bare\n");
        }
        drop(memory);
        if let Some(mut python) = Python::new(touched) {
            group.bench_function("python", |b| {
                b.iter_custom(|rounds| python.run(rounds));
            });
            python.end();
        } else {
            println!("spawn/{name}: no python3 here to compare with\n");
        }
        group.finish();
    }
}

criterion_group!(benches, spawn);
criterion_main!(benches);
