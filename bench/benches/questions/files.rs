//! What does it cost to copy a folder of files and to prove every copy?

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use bench::{Bench, Row, Scenario};
use indicatif::{InMemoryTerm, ProgressBar, ProgressDrawTarget};
use multiprocessing::{Pool, cpu_count};
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
    let copy_row = |name: &str, copy: Copy| {
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
    };
    let (source, target) = (path(from)?, path(to)?);
    let scenario = Scenario::new(
        QUESTION,
        "copy",
        "1000 files of 64 KiB copied in memory, both sides hashed by SHA-512",
        FILES * SIZE as u64,
    )
    .row(copy_row("one process", |from, to| {
        let tree = Tree::of(from)?;
        tree.make_folders(from, to)?;
        let copies = tree
            .files
            .iter()
            .map(|file| Ok(bytes(copy_file(from, to, file)?)));
        copies.sum()
    }))
    .row(
        copy_row("Pool", |from, to| by_pool(from, to, &ProgressBar::hidden()))
            .python(format!("files.copy {} {source} {target}", cpu_count())),
    )
    .row(copy_row("Pool and a progress bar", |from, to| {
        let screen = InMemoryTerm::new(24, 80);
        let target = ProgressDrawTarget::term_like(Box::new(screen));
        by_pool(
            from,
            to,
            &ProgressBar::with_draw_target(Some(FILES), target),
        )
    }))
    .row(
        copy_row("cp -r", |from, to| {
            let status = Command::new("cp").arg("-r").args([from, to]).status()?;
            ensure!(status.success(), "cp failed");
            Ok(FILES * SIZE as u64)
        })
        .limit()
        .note("it proves nothing"),
    );
    bench.scenario(
        scenario
            .says(|results| {
                let (ours, bar) = (
                    results.median("Pool"),
                    results.median("Pool and a progress bar"),
                );
                let times = results.times(bar, ours);
                format!("With a progress bar it takes {times} as long as without.")
            })
            .says(|results| {
                let ours = results.median("Pool");
                let times = results.times(ours, results.python("Pool"));
                format!("It takes {times} as long as Python's.")
            }),
    );
    Ok(())
}

type Copy = fn(&Path, &Path) -> anyhow::Result<u64>;

/// As listing D57 does it.
fn by_pool(from: &Path, to: &Path, bar: &ProgressBar) -> anyhow::Result<u64> {
    let pool = Pool::new(cpu_count())?;
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
    path.to_str().context("a folder whose name is no text")
}

/// A folder in memory where there is one. A process of its own removes it when this one
/// has ended, however that was.
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
            // Ctrl+C is not meant for it.
            .process_group(0)
            .spawn()?;
        fs::create_dir(&path)?;
        Ok(Self { path, keeper })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The end of its input tells it to remove the folder.
        drop(self.keeper.stdin.take());
        let _removed = self.keeper.wait();
    }
}
