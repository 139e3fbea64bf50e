//! The Pythons that do the same work.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use crate::results::{Cell, Place};

/// The interpreters of this run: those that `PYTHONS` lists, separated as in `PATH`,
/// otherwise `python3`.
pub(crate) struct Pythons(Vec<Python>);

struct Python {
    program: PathBuf,
    name: String,
    /// Which program it is, how it was built, and which numpy it has.
    build: String,
    state: State,
    /// A second interpreter, started when it is first needed, for the modules whose
    /// imports would make each fork of the first more expensive.
    apart: Option<Worker>,
}

enum State {
    Up(Worker),
    Missing(String),
}

/// Why a piece of work was not done.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// The interpreter lacks something that the piece needs.
    Absent(String),
    /// It was tried, and went wrong.
    Failed(String),
}

impl From<anyhow::Error> for NotRun {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<NotRun> for Cell {
    fn from(why: NotRun) -> Self {
        match why {
            NotRun::Absent(why) => Self::Absent(why),
            NotRun::Failed(why) => Self::Failed(why),
        }
    }
}

/// An interpreter that stays up and does what it is asked for, so that its start is
/// not measured. It ends when its standard input does, and with this process.
struct Worker {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// The modules that run in an interpreter of their own.
const APART: [&str; 2] = ["with_asyncio.", "with_numpy."];

impl Pythons {
    pub(crate) fn start() -> Self {
        let listed: Vec<PathBuf> = match env::var_os("PYTHONS") {
            Some(list) => env::split_paths(&list)
                .filter(|path| !path.as_os_str().is_empty())
                .collect(),
            None => vec!["python3".into()],
        };
        Self(listed.into_iter().map(Python::start).collect())
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

    /// The name and the build of each.
    pub(crate) fn facts(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|python| {
                let about = match &python.state {
                    State::Up(_) => &python.build,
                    State::Missing(why) => why,
                };
                (python.name.clone(), about.clone())
            })
            .collect()
    }

    /// Has a Python do a piece of work `times` times. Returns the nanoseconds that it
    /// took and the sum of the answers.
    pub(crate) fn run(
        &mut self,
        which: usize,
        call: &str,
        times: u64,
    ) -> Result<(u64, u64), NotRun> {
        self.0[which].run(call, times)
    }

    /// Ends the pools and servers that pieces have left standing for the next samples.
    pub(crate) fn end_standing(&mut self) {
        for python in &mut self.0 {
            if let State::Up(_) = python.state {
                // A pool that cannot be ended shows in the next scenario's answers.
                python.run("standing.end_all", 1).ok();
            }
        }
    }
}

impl Python {
    fn start(program: PathBuf) -> Self {
        let started = describe(&program)
            .and_then(|about| Ok((about, Worker::start(&program)?)));
        let (name, build, state) = match started {
            Ok(((name, build), worker)) => (name, build, State::Up(worker)),
            Err(error) => {
                let name = program.display().to_string();
                let why = format!("it cannot be started: {error}");
                (name, String::new(), State::Missing(why))
            }
        };
        Self {
            program,
            name,
            build,
            state,
            apart: None,
        }
    }

    fn run(&mut self, call: &str, times: u64) -> Result<(u64, u64), NotRun> {
        let worker = match &mut self.state {
            State::Up(worker) => worker,
            State::Missing(why) => return Err(NotRun::Absent(why.clone())),
        };
        if !APART.iter().any(|module| call.starts_with(module)) {
            return worker.run(call, times);
        }
        if self.apart.is_none() {
            self.apart = Some(Worker::start(&self.program)?);
        }
        let worker = self.apart.as_mut().context("it was just started")?;
        worker.run(call, times)
    }
}

/// The name of an interpreter, and its build. Another process finds that out, so that
/// the one that works imports no more than it needs.
fn describe(program: &Path) -> anyhow::Result<(String, String)> {
    let output = Command::new(program)
        .arg(folder().join("describe.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let (name, build) = (text.trim_end().split_once('\n'))
        .context("it does not say which Python it is")?;
    Ok((name.to_owned(), build.to_owned()))
}

/// Where the function stands that a call names.
pub(crate) fn place(call: &str) -> Option<Place> {
    let (module, function) = call.split_whitespace().next()?.split_once('.')?;
    let path = folder().join(format!("{module}.py"));
    let line = (fs::read_to_string(path).ok()?.lines())
        .position(|line| line.starts_with(&format!("def {function}(")))?;
    Some(Place {
        file: format!("bench/python/{module}.py"),
        line: 1 + line as u32,
    })
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
}

impl Worker {
    fn start(python: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(python)
            .arg(folder().join("worker.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut worker = Self {
            requests: process.stdin.take(),
            answers: BufReader::new(process.stdout.take().context("it is piped")?),
            process,
        };
        // So that one that cannot even do nothing is found to be missing.
        worker.ask("standing.end_all", 1)?;
        Ok(worker)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match line.strip_suffix('\n') {
            Some(line) => Ok(line.to_owned()),
            None => bail!("the interpreter has ended"),
        }
    }

    fn run(&mut self, call: &str, times: u64) -> Result<(u64, u64), NotRun> {
        let line = self.ask(call, times)?;
        if let Some(why) = line.strip_prefix("absent ") {
            return Err(NotRun::Absent(why.to_owned()));
        }
        let answer = (line.split_once(' '))
            .and_then(|(took, sum)| Some((took.parse().ok()?, sum.parse().ok()?)));
        answer.ok_or(NotRun::Failed(line))
    }

    fn ask(&mut self, call: &str, times: u64) -> anyhow::Result<String> {
        let requests = self.requests.as_mut().context("it is being ended")?;
        writeln!(requests, "{call} {times}")?;
        self.line()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input has it end.
        self.requests = None;
        // A process that cannot be waited for has ended.
        self.process.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_piece_is_the_line_of_its_function() {
        let place = place("queues.threads 1 1 8 1024").unwrap();
        let text = fs::read_to_string(folder().join("queues.py")).unwrap();
        let line = text.lines().nth(place.line as usize - 1).unwrap();
        assert!(line.starts_with("def threads("), "{line}");
        assert_eq!(place.file, "bench/python/queues.py");
    }
}
