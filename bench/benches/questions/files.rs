//! What does it cost to copy a folder of files and to prove every copy?

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use bench::{Bench, Row, Scenario, worker_counts};
use indicatif::{InMemoryTerm, ProgressBar, ProgressDrawTarget};
use multiprocessing::{Pool, cpu_count};
use sha2::{Digest, Sha512};
use tutorial::{Copied, Tree, copy_file};

const QUESTION: &str = "files";
const FILES: u64 = 1000;
const SIZE: usize = 64 << 10;

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let scratch = &Scratch::new()?;
    let (from, to) = (&scratch.path.join("from"), &scratch.path.join("to"));
    fs::create_dir(from)?;
    for number in 0..FILES {
        let mut file = File::create(from.join(number.to_string()))?;
        file.write_all(&vec![number as u8; SIZE])?;
    }
    let (source, target) = (path(from)?, path(to)?);
    let paths = (from.as_path(), to.as_path());
    let mut scenario = Scenario::new(
        QUESTION,
        "copy",
        "1000 files of 64 KiB copied in memory, both sides hashed by SHA-512",
        FILES * SIZE as u64,
    )
    .row(copy_row(paths, "one process", |from, to| {
        let tree = Tree::of(from)?;
        tree.make_folders(from, to)?;
        let copies = tree
            .files
            .iter()
            .map(|file| Ok(bytes(copy_file(from, to, file)?)));
        copies.sum()
    }))
    .rounds(7);
    for workers in worker_counts() {
        let row = copy_row(paths, "Pool", move |from, to| {
            by_pool(workers, from, to, &ProgressBar::hidden())
        });
        let python = format!("files.copy {workers} {source} {target}");
        scenario = scenario
            .row(row.workers(workers).python(python).python_rounds(3))
            .row(
                copy_row(paths, "cp", move |from, to| by_cp(workers, from, to))
                    .workers(workers)
                    .unlimited()
                    .note("each copies its share of the files, and proves nothing"),
            )
            .row(
                copy_row(paths, "cp, then SHA-512", move |from, to| {
                    let copied = by_cp(workers, from, to)?;
                    compare(workers, from, to)?;
                    Ok(copied)
                })
                .workers(workers)
                .limit()
                .note("cp as above, then threads that hash both sides"),
            );
    }
    let cores = cpu_count();
    let pool = &format!("Pool/{cores}");
    let limit = &format!("cp, then SHA-512/{cores}");
    let scenario = scenario
        .row(copy_row(paths, "Pool and a progress bar", move |from, to| {
            let screen = InMemoryTerm::new(24, 80);
            let target = ProgressDrawTarget::term_like(Box::new(screen));
            let bar = ProgressBar::with_draw_target(Some(FILES), target);
            by_pool(cores, from, to, &bar)
        }))
        .row(
            copy_row(paths, "cp -r", |from, to| {
                let status =
                    Command::new("cp").arg("-r").args([from, to]).status()?;
                ensure!(status.success(), "cp failed");
                Ok(FILES * SIZE as u64)
            })
            .unlimited()
            .note("it proves nothing"),
        )
        .ceiling(worker_counts())
        .quote(
            "`file_copy`, 1000 files of 64 KiB",
            pool.as_str(),
            ["one process", limit.as_str()],
        )
        .says(|results| {
            let times = results.times("Pool and a progress bar", pool)?;
            Some(format!("With a progress bar it takes {times} as long as without."))
        })
        .says(|results| {
            let python = results.python(pool)?;
            let limit = results.times(pool, limit)?;
            Some(format!(
                "Python's takes {python} as long as ours, and ours {limit} as long as cp, \
                 run once for each core, and then as many threads that hash both sides."
            ))
        });
    bench.scenario(scenario);
    Ok(())
}

/// Has `workers` processes of cp copy a share of the files each.
fn by_cp(workers: usize, from: &Path, to: &Path) -> anyhow::Result<u64> {
    fs::create_dir(to)?;
    let files: Vec<PathBuf> = fs::read_dir(from)?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    let mut running = (files.chunks(files.len().div_ceil(workers)))
        .map(|files| Command::new("cp").arg("-t").arg(to).args(files).spawn())
        .collect::<Result<Vec<Child>, _>>()?;
    for cp in &mut running {
        ensure!(cp.wait()?.success(), "cp failed");
    }
    Ok(FILES * SIZE as u64)
}

/// Has `workers` threads hash a share of the files each, on both sides.
fn compare(workers: usize, from: &Path, to: &Path) -> anyhow::Result<()> {
    let names: Vec<OsString> = fs::read_dir(from)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<anyhow::Result<_>>()?;
    let hash = |path: PathBuf| anyhow::Ok(Sha512::digest(fs::read(path)?));
    thread::scope(|s| {
        let threads: Vec<_> = (names.chunks(names.len().div_ceil(workers)))
            .map(|names| {
                s.spawn(move || {
                    names.iter().try_for_each(|name| {
                        let (one, other) =
                            (hash(from.join(name))?, hash(to.join(name))?);
                        ensure!(one == other, "a copy differs");
                        Ok(())
                    })
                })
            })
            .collect();
        (threads.into_iter()).try_for_each(|thread| thread.join().unwrap())
    })
}

/// A row that copies one folder to the other again and again, and removes the copy
/// before the clock runs on.
#[track_caller]
fn copy_row<'a>(
    (from, to): (&'a Path, &'a Path),
    name: &str,
    copy: impl Fn(&Path, &Path) -> anyhow::Result<u64> + 'a,
) -> Row<'a> {
    Row::new(name, move |times| {
        let mut took = Duration::ZERO;
        let mut sum = 0;
        for _ in 0..times {
            let start = Instant::now();
            sum += copy(from, to)?;
            took += start.elapsed();
            fs::remove_dir_all(to)?;
        }
        Ok((took, sum))
    })
}

/// As listing D57 does it.
fn by_pool(
    workers: usize,
    from: &Path,
    to: &Path,
    bar: &ProgressBar,
) -> anyhow::Result<u64> {
    let pool = Pool::new(workers)?;
    let tree = Tree::of(from)?;
    tree.make_folders(from, to)?;
    let files = tree.files.iter();
    let files = files.map(|file| (from.into(), to.into(), file.into()));
    let mut sum = 0;
    for copied in pool.imap(copy, files) {
        sum += bytes(copied?.map_err(|error| anyhow!(error))?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    tree.finish_folders(from, to)?;
    pool.close();
    pool.join()?;
    Ok(sum)
}

fn copy((from, to, file): (PathBuf, PathBuf, PathBuf)) -> Result<Copied, String> {
    copy_file(&from, &to, &file).map_err(|error| error.to_string())
}

fn bytes(copied: Copied) -> u64 {
    match copied {
        Copied::Bytes(count) => count,
        Copied::Nothing => 0,
    }
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the name of the folder is not UTF-8")
}

/// A folder in memory, if the machine has one there. A process of its own removes it
/// when this one has ended, in whatever way.
struct Scratch {
    path: PathBuf,
    keeper: Child,
}

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let memory = PathBuf::from("/dev/shm");
        let root = if memory.is_dir() {
            memory
        } else {
            std::env::temp_dir()
        };
        let path = root.join(format!("bench-files-{}", process::id()));
        let keeper = Command::new("sh")
            .args(["-c", "read -r _; rm -rf \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            // So that Ctrl+C does not reach it.
            .process_group(0)
            .spawn()?;
        fs::create_dir(&path)?;
        Ok(Self { path, keeper })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // At the end of its input it removes the folder.
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}
