//! The Pythons beside us.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

/// The interpreters of this run: those that `PYTHONS` lists, separated as in `PATH`,
/// otherwise `python3`.
pub(crate) struct Pythons(Vec<Python>);

struct Python {
    name: String,
    state: State,
}

enum State {
    Up(Worker),
    Missing(String),
}

/// An interpreter that stays up and does what it is asked for, so that its start is
/// not measured. It ends when its standard input does, and with this process.
struct Worker {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Pythons {
    pub(crate) fn start() -> Self {
        let listed: Vec<PathBuf> = match env::var_os("PYTHONS") {
            Some(list) => env::split_paths(&list)
                .filter(|path| !path.as_os_str().is_empty())
                .collect(),
            None => vec!["python3".into()],
        };
        Self(listed.iter().map(|path| Python::start(path)).collect())
    }

    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|python| python.name.clone()).collect()
    }

    /// Why there is no such Python, if there is none.
    pub(crate) fn missing(&self, which: usize) -> Option<&str> {
        match &self.0[which].state {
            State::Up(_) => None,
            State::Missing(why) => Some(why),
        }
    }

    /// Has a Python do a piece so many times.
    pub(crate) fn run(
        &mut self,
        which: usize,
        call: &str,
        times: u64,
    ) -> anyhow::Result<(Duration, u64)> {
        match &mut self.0[which].state {
            State::Up(worker) => worker.run(call, times),
            State::Missing(why) => bail!("{why}"),
        }
    }
}

impl Python {
    fn start(path: &Path) -> Self {
        match Worker::start(path) {
            Ok((worker, name)) => Self {
                name,
                state: State::Up(worker),
            },
            Err(error) => Self {
                name: path.display().to_string(),
                state: State::Missing(error.to_string()),
            },
        }
    }
}

impl Worker {
    /// The worker, and how it introduces itself.
    fn start(python: &Path) -> anyhow::Result<(Self, String)> {
        let mut process = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/worker.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut worker = Self {
            requests: process.stdin.take(),
            answers: BufReader::new(process.stdout.take().expect("it is piped")),
            process,
        };
        let name = worker.line()?;
        Ok((worker, name))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match line.strip_suffix('\n') {
            Some(line) => Ok(line.to_owned()),
            None => bail!("the interpreter has ended"),
        }
    }

    fn run(&mut self, call: &str, times: u64) -> anyhow::Result<(Duration, u64)> {
        let requests = self.requests.as_mut().expect("it is taken on drop only");
        writeln!(requests, "{call} {times}")?;
        let line = self.line()?;
        let answer = (line.split_once(' '))
            .and_then(|(nanos, sum)| Some((nanos.parse().ok()?, sum.parse().ok()?)))
            .with_context(|| line.clone())?;
        Ok((Duration::from_nanos(answer.0), answer.1))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input is its sign to end.
        self.requests = None;
        // It is our child and nobody else waits for it.
        let _ended = self.process.wait();
    }
}
