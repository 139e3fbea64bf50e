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

use examples_multiprocessing::{Copied, Pool, Tree, copy_file};
use examples_threading::Failure;
use indicatif::{ProgressBar, ProgressStyle};

/// As `OsString`s: a path that is no UTF-8 can be sent as that.
fn copy((from, to): (OsString, OsString)) -> Result<Copied, String> {
    copy_file(from.as_ref(), to.as_ref()).map_err(|error| {
        format!("cannot copy {}: {error}", PathBuf::from(from).display())
    })
}

fn main() -> Result<ExitCode, Failure> {
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
    let files =
        files.map(|file| (source.join(file).into(), target.join(file).into()));
    for result in pool.imap_unordered(copy, files) {
        match result {
            Ok(Ok(Copied::Bytes(count))) => {
                copied += 1;
                bytes += count;
            }
            Ok(Ok(Copied::Nothing)) => unchanged += 1,
            Ok(Err(failure)) => failures.push(failure),
            // Its worker was killed, say.
            Err(error) => failures.push(format!("cannot copy a file: {error}")),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    tree.finish_folders(source, target)?;

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
