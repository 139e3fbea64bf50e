//! Copies a folder of many files by a pool, and proves every copy by its SHA-512.
//!
//! Listing D57, 达内 course notes, 通过一个进程池来实现 (exercise). `file_copy` alone makes a
//! folder of a thousand files, copies it and removes both. `file_copy SOURCE COPY`
//! copies a folder of yours; a second run copies what differs. A file that cannot be
//! copied is reported, the others are copied, and the exit code is 1.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use multiprocessing::{Pool, TaskError, cpu_count};
use tutorial::{Copied, Failure, Result, SampleFolder, Tree, copy_file};

/// A folder, its copy, and a file's path in both. They are not `PathBuf`s, because
/// serde sends those only if they are UTF-8.
type Task = (OsString, OsString, OsString);

fn copy((source, target, file): Task) -> Result<Copied, String> {
    copy_file(source.as_ref(), target.as_ref(), file.as_ref())
        .map_err(|error| error.to_string())
}

fn copy_folder(pool: &Pool, source: &Path, target: &Path) -> Result<()> {
    let start = Instant::now();
    let tree = Tree::of(source)?;
    tree.make_folders(source, target)?;

    // Drawn on standard error, if that is a terminal.
    let bar = ProgressBar::new(tree.files.len() as u64).with_style(
        ProgressStyle::with_template("{wide_bar} {pos}/{len} files, {eta} left")?,
    );
    let (mut copied, mut unchanged, mut bytes) = (0, 0, 0);
    let mut failures = Vec::new();
    for (_, error) in &tree.closed {
        failures.push(format!("cannot read {error}"));
    }
    let files = tree.files.iter();
    let tasks = files.map(|file| (source.into(), target.into(), file.into()));
    // In order, so that a task whose worker was killed has its file's name too.
    let mut results = pool.imap(copy, tasks);
    for file in &tree.files {
        // A pool that breaks has no results for the last files.
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
    let (files, failed) = (tree.files.len(), failures.len());
    print!(
        "{files} files, {copied} copied, {unchanged} unchanged, {failed} failed, "
    );
    println!("{bytes} bytes, {:.2} s", start.elapsed().as_secs_f64());
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::new("Not everything was copied: see above."))
    }
}

fn main() -> Result<()> {
    let pool = Pool::new(cpu_count())?; // Before all else: no thread runs yet.
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(Into::into).collect();
    match &arguments[..] {
        [] => {
            let sample = SampleFolder::new("file_copy", 1000)?;
            let source = sample.path().join("source");
            println!("copying {}", source.display());
            copy_folder(&pool, &source, &sample.path().join("copy"))
        }
        [source, target] => copy_folder(&pool, source, target),
        _ => Err(Failure::new("Name both folders: file_copy SOURCE COPY.")),
    }
}
