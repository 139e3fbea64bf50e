//! Copies a folder of many files by a pool, and proves every copy by its SHA-512.
//!
//! Listing D57, 达内 course notes, day01 and day02, 大作业 (exercise). Run it as
//! `file_copy SOURCE COPY`; a second run copies what differs. A file that cannot be
//! copied is told, the others are copied, and the exit code is 1.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use multiprocessing::{Pool, TaskError};
use tutorial::Result;
use tutorial::{Copied, Tree, copy_file};

/// As `OsString`s: a path that is no UTF-8 can be sent as that.
fn copy((from, to): (OsString, OsString)) -> Result<Copied, String> {
    copy_file(from.as_ref(), to.as_ref()).map_err(|error| error.to_string())
}

fn main() -> Result<ExitCode> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(Into::into).collect();
    let [source, target] = &arguments[..] else {
        eprintln!("Say what to copy and where: file_copy SOURCE COPY");
        return Ok(ExitCode::from(2));
    };
    let start = Instant::now();
    let pool = Pool::builder().start()?; // Before all else: no thread runs yet.
    let tree = Tree::of(source)?;
    tree.make_folders(source, target)?;

    // Drawn on standard error, where that is a terminal.
    let bar = ProgressBar::new(tree.files.len() as u64).with_style(
        ProgressStyle::with_template("{wide_bar} {pos}/{len} files, {eta} left")?,
    );
    let (mut copied, mut unchanged, mut bytes) = (0, 0, 0);
    let mut failures: Vec<_> = (tree.closed.iter())
        .map(|(_, error)| format!("cannot read {error}"))
        .collect();
    let files = tree.files.iter();
    let tasks =
        files.map(|file| (source.join(file).into(), target.join(file).into()));
    // In order, so that a task whose worker was killed has its file's name too.
    let mut results = pool.imap(copy, tasks);
    for file in &tree.files {
        // A pool that breaks leaves the last files out.
        let result = results.next().unwrap_or(Err(TaskError::Broken));
        match result.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(Copied::Bytes(count)) => {
                copied += 1;
                bytes += count;
            }
            Ok(Copied::Nothing) => unchanged += 1,
            Err(error) => {
                let name = source.join(file);
                failures.push(format!("cannot copy {}: {error}", name.display()));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Err(error) = tree.finish_folders(source, target) {
        failures.push(format!("cannot finish {error}"));
    }

    for failure in &failures {
        eprintln!("{failure}");
    }
    println!(
        "{} files, {copied} copied, {unchanged} unchanged, {} failed, {bytes} bytes, {:.2} s",
        tree.files.len(),
        failures.len(),
        start.elapsed().as_secs_f64()
    );
    Ok(ExitCode::from(u8::from(!failures.is_empty())))
}
