//! The listings of pools, and the big exercise.

use std::collections::HashSet;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tutorial::harness::{Finished, Listing, listing, sorted};
use tutorial::{Tree, copy_file};

#[test]
fn the_fifth_task_waits_for_a_worker() {
    let lines = listing!("pool").tempo(20).run().success();
    let begins = |text: &str| lines.iter().filter(|l| l.starts_with(text)).count();
    assert!(lines[0].starts_with("Parent Process is "));
    assert_eq!(lines.last().unwrap(), "All subprocesses done");
    assert_eq!((begins("Run task "), begins("Task ")), (5, 5));
    assert_eq!(begins("Waiting for all subprocess done"), 1);
    let pids: HashSet<&str> = lines
        .iter()
        .filter_map(|line| line.split(['(', ')']).nth(1))
        .collect();
    assert!(pids.len() <= 4);
    // A worker that is free is one whose task has ended.
    let mut running = 0;
    for line in &lines {
        running += i32::from(line.starts_with("Run task "));
        running -= i32::from(line.starts_with("Task "));
        assert!((0..=4).contains(&running), "{lines:#?}");
    }
}

#[test]
fn a_hundred_callbacks_come_before_the_end() {
    let lines = listing!("pool_callback").tempo(5).run().success();
    assert_eq!(lines[0], "end");
    let expected: Vec<_> =
        (100..200).map(|n| format!("--->exec done {n}")).collect();
    assert_eq!(sorted(lines[1..].to_vec()), expected);
}

/// The tasks' lines, and the seconds that the listing prints at its end.
fn timed(lines: &[String]) -> (&[String], f64) {
    let (seconds, lines) = lines.split_last().unwrap();
    (lines, seconds.parse().unwrap())
}

#[test]
fn blocking_calls_come_one_after_the_other() {
    let lines = listing!("pool_apply").tempo(30).run().success();
    let (lines, seconds) = timed(&lines);
    let tasks = (0..4)
        .flat_map(|n| [format!("Pool: apply {n}"), format!("Pool: apply {n} end")]);
    let ends = ["for end", "Main end"].map(String::from);
    assert_eq!(lines, tasks.chain(ends).collect::<Vec<_>>());
    assert!(seconds >= 12.0 / 30.0);
}

#[test]
fn calls_that_do_not_block_run_three_at_a_time() {
    let lines = listing!("pool_apply_async").tempo(5).run().success();
    let (lines, seconds) = timed(&lines);
    assert_eq!(lines.len(), 10);
    assert!(lines.contains(&"for end".to_string()));
    assert_eq!(lines.last().unwrap(), "Main end");
    let of_tasks = lines.iter().filter(|l| l.starts_with("Pool: "));
    let ends: Vec<_> = of_tasks.map(|l| l.ends_with(" end")).collect();
    assert_eq!((ends.len(), &ends[..3]), (8, &[false; 3][..]));
    assert!((6.0 / 5.0..12.0 / 5.0).contains(&seconds), "{seconds}");
}

#[test]
fn a_pool_finds_the_sums_that_one_process_finds() {
    let lines = listing!("pool_map").run().success();
    assert_eq!([&lines[0], &lines[2]], ["333833500"; 2]);
    for (line, begin) in
        [(&lines[1], "进程池花费了 "), (&lines[3], "单个进程花费了 ")]
    {
        let seconds = line.strip_prefix(begin).unwrap();
        assert!(seconds.parse::<f64>().unwrap() > 0.0);
        assert_eq!(seconds.split('.').nth(1).unwrap().len(), 6);
    }
}

#[test]
fn a_pool_that_is_not_waited_for_finishes_nothing() {
    let lines = listing!("pool_callback_no_wait").run().success();
    assert!(lines.contains(&"Main end".to_string()));
    assert!(!lines.iter().any(|l| l.ends_with(" end") && l != "Main end"));
    assert!(!lines.contains(&"callback".to_string()));
    assert!(
        lines
            .iter()
            .any(|l| l.parse::<f64>().is_ok_and(|s| s < 3.0))
    );
}

#[test]
fn a_schedule_shows_every_task_once() {
    let folder = Folder::new();
    let svg = folder.path("schedule.svg");
    let lines = listing!("pool_schedule")
        .tempo(20)
        .arg(&svg)
        .run()
        .success();
    let charts = ["apply, ", "apply_async, ", "map, chunksize 2, "];
    let titles: Vec<_> = lines.iter().filter(|l| !l.contains('|')).collect();
    assert_eq!(titles.len(), charts.len(), "{lines:#?}");
    for (title, chart) in titles.into_iter().zip(charts) {
        assert!(title.starts_with(chart), "{lines:#?}");
    }
    let svg = fs::read_to_string(svg).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    for task in 0..6 {
        let label = format!(">{task}</text>");
        assert_eq!(svg.matches(&label).count(), 3, "{task} of three charts");
    }
    let rows = lines.iter().filter(|l| l.contains('|')).count();
    assert!(
        (3..=9).contains(&rows),
        "one to three workers each: {lines:#?}"
    );
    let unwritable = listing!("pool_schedule")
        .tempo(50)
        .arg("/no/such/folder")
        .run();
    assert_eq!(unwritable.status.code(), Some(1));
    assert_eq!(unwritable.errors.len(), 1, "{unwritable:#?}");
}

#[test]
fn every_option_and_every_end_is_shown() {
    let lines = listing!("pool_options").tempo(20).run().success();
    let find = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    // The third worker, in the killed one's place, may find the pool closed already.
    let greetings = find("hello from ForkPoolWorker-");
    assert!((2..=3).contains(&greetings), "{lines:#?}");
    for line in [
        "divide(7, 2) = 3",
        "divide(7, 0): attempt to divide by zero",
        "kill_oneself(): the worker was ended by SIGKILL",
        "divide(9, 3) = 3",
        "after close: the pool is closed: submit tasks before closing it",
        "12 items, 4 chunks, 2 workers",
        "after terminate: the pool was terminated before the task had ended",
    ] {
        assert!(lines.contains(&line.to_string()), "{line}: {lines:#?}");
    }
}

#[test]
fn a_managed_queue_takes_from_every_worker() {
    let lines = sorted(listing!("manager_queue_pool").tempo(10).run().success());
    assert_eq!(lines.len(), 6);
    for (n, line) in lines.iter().enumerate() {
        assert!(
            line.starts_with(&format!("{n} from ForkPoolWorker-")),
            "{line}"
        );
    }
}

#[test]
fn ctrl_c_ends_a_pool_and_its_tasks() {
    for listing in [listing!("pool_apply"), listing!("pool_apply_async")] {
        let mut run = listing.start();
        run.line_with("Pool: ");
        run.signal(Signal::SIGINT);
        let run = run.finish();
        assert_eq!(run.signal(), Some(Signal::SIGINT as i32));
        assert_eq!(run.errors, [""; 0]);
    }
}

/// A folder of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("{:?}", std::thread::current().id());
        let name = format!("pooling-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A folder of a thousand files, and of all else that there is to copy.
    fn source(&self) -> PathBuf {
        let source = self.path("source");
        fs::create_dir_all(source.join("deep/deeper/empty")).unwrap();
        for n in 0..1000 {
            let folder = ["", "deep", "deep/deeper"][n % 3];
            let file = source.join(folder).join(format!("file {n}"));
            fs::write(&file, n.to_string().repeat(n)).unwrap();
            if n % 100 == 7 {
                let mode = fs::Permissions::from_mode(0o600 + n as u32 / 100);
                fs::set_permissions(&file, mode).unwrap();
            }
        }
        symlink("file 0", source.join("link")).unwrap();
        symlink("../nowhere", source.join("deep/dangling")).unwrap();
        let old =
            SystemTime::UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123_456_789);
        for old_one in ["file 3", "deep/deeper"] {
            let file = File::open(source.join(old_one)).unwrap();
            file.set_times(FileTimes::new().set_modified(old)).unwrap();
        }
        source
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn file_copy(source: &Path, copy: &Path) -> Listing {
    listing!("file_copy").arg(source).arg(copy)
}

/// The numbers of the last line: files, copied, unchanged, failed, bytes.
fn summary(run: &Finished) -> [u64; 5] {
    let line = run.lines.last().unwrap();
    let numbers: Vec<u64> = line
        .split(", ")
        .filter_map(|part| part.split(' ').next()?.parse().ok())
        .collect();
    assert!(line.ends_with(" s") && run.lines.len() == 1, "{run:#?}");
    numbers.try_into().unwrap()
}

fn assert_same(source: &Path, copy: &Path) {
    let mut diff = Command::new("diff");
    let diff = diff.args(["-r", "--no-dereference"]).arg(source).arg(copy);
    let diff = diff.output().unwrap();
    assert!(diff.status.success(), "{diff:?}");
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for path in [&folder].into_iter().cloned().chain(
            fs::read_dir(source.join(&folder))
                .unwrap()
                .map(|entry| folder.join(entry.unwrap().file_name())),
        ) {
            let of = |root: &Path| {
                let status = fs::symlink_metadata(root.join(&path)).unwrap();
                (status.mode(), status.mtime(), status.mtime_nsec())
            };
            assert_eq!(of(source), of(copy), "{}", path.display());
            if path != folder
                && source.join(&path).symlink_metadata().unwrap().is_dir()
            {
                folders.push(path);
            }
        }
    }
}

#[test]
fn a_folder_is_copied_whole_and_then_what_differs() {
    let folder = Folder::new();
    let (source, copy) = (folder.source(), folder.path("copy"));
    let bytes = (0..1000_u64).map(|n| n * n.to_string().len() as u64).sum();

    let run = file_copy(&source, &copy).run();
    assert_eq!(run.status.code(), Some(0), "{run:#?}");
    assert_eq!(summary(&run), [1002, 1002, 0, 0, bytes]);
    assert_same(&source, &copy);

    // As long as before, and with the old time.
    let changed = source.join("file 3");
    let time = fs::metadata(&changed).unwrap().modified().unwrap();
    fs::write(&changed, "###").unwrap();
    File::open(&changed)
        .unwrap()
        .set_times(FileTimes::new().set_modified(time))
        .unwrap();
    fs::set_permissions(source.join("file 9"), fs::Permissions::from_mode(0o640))
        .unwrap();
    fs::remove_file(copy.join("link")).unwrap();
    // What an interrupted run may have left.
    fs::write(copy.join(".file 3.part"), "half").unwrap();
    let run = file_copy(&source, &copy).run();
    assert_eq!(summary(&run), [1002, 2, 1000, 0, 3]);
    assert_same(&source, &copy);
}

#[test]
fn what_cannot_be_copied_is_told_and_the_rest_is_copied() {
    let folder = Folder::new();
    let (source, copy) = (folder.path("source"), folder.path("copy"));
    fs::create_dir_all(source.join("closed")).unwrap();
    for file in ["good", "secret", "last"] {
        fs::write(source.join(file), file).unwrap();
    }
    nix::unistd::mkfifo(&source.join("fifo"), nix::sys::stat::Mode::S_IRWXU)
        .unwrap();
    let nobody = fs::Permissions::from_mode(0o000);
    fs::set_permissions(source.join("secret"), nobody.clone()).unwrap();
    fs::set_permissions(source.join("closed"), nobody).unwrap();
    let run = if nix::unistd::geteuid().is_root() {
        // Who may read everything has to be somebody else.
        file_copy(&source, &copy).user(65534)
    } else {
        file_copy(&source, &copy)
    };
    let run = run.run();
    fs::set_permissions(source.join("closed"), fs::Permissions::from_mode(0o700))
        .unwrap();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    let told = run.errors.concat();
    for name in ["secret", "closed", "fifo"] {
        assert!(told.contains(&format!("/source/{name}: ")), "{run:#?}");
    }
    assert_eq!(summary(&run), [4, 2, 0, 3, 8]);
    assert_eq!(fs::read_to_string(copy.join("good")).unwrap(), "good");
    assert_eq!(fs::read_to_string(copy.join("last")).unwrap(), "last");
    assert!(!copy.join("secret").exists());
}

#[test]
fn what_makes_no_sense_is_said_in_one_sentence() {
    let folder = Folder::new();
    let inside = folder.path("inside");
    for (run, code) in [
        (listing!("file_copy"), 2),
        (listing!("file_copy").arg("one"), 2),
        (file_copy(&folder.path("nothing"), &folder.path("copy")), 1),
        (file_copy(&folder.0, &inside), 1),
    ] {
        let run = run.run();
        assert_eq!(run.status.code(), Some(code), "{run:#?}");
        assert_eq!((run.errors.len(), run.lines.len()), (1, 0), "{run:#?}");
    }
    assert!(!inside.exists());
}

/// A folder with so many files of so many bytes, all of them zero.
fn source_of(folder: &Folder, files: u64, bytes: u64) -> PathBuf {
    let source = folder.path("source");
    fs::create_dir(&source).unwrap();
    for n in 0..files {
        let file = File::create(source.join(n.to_string())).unwrap();
        file.set_len(bytes).unwrap();
    }
    source
}

/// Waits until the first file is in the copy.
fn once_begun(copy: &Path) {
    let start = Instant::now();
    while fs::read_dir(copy).map_or(0, Iterator::count) == 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "it never begins");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_interrupted_copy_has_no_half_written_file() {
    let folder = Folder::new();
    let source = source_of(&folder, 100, 4 << 20);
    let copy = folder.path("copy");
    let run = file_copy(&source, &copy).start();
    once_begun(&copy);
    run.signal(Signal::SIGINT);
    let run = run.finish();
    assert_eq!(run.signal(), Some(Signal::SIGINT as i32), "{run:#?}");
    assert_eq!(run.errors, [""; 0]);
    let contents = vec![0; 4 << 20];
    for entry in fs::read_dir(&copy).unwrap() {
        let entry = entry.unwrap();
        assert!(fs::read(entry.path()).unwrap() == contents, "{entry:?}");
    }
    let again = file_copy(&source, &copy).run();
    assert_eq!(again.status.code(), Some(0));
    let names = fs::read_dir(&copy).unwrap().count();
    assert_eq!(names, 100, "nothing is left of the first run");
}

/// Somebody's children.
fn children(of: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the name, which may hold anything: the state, then the parent.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        (parent == of.to_string()).then_some(Pid::from_raw(pid))
    });
    processes.collect()
}

#[test]
fn a_file_whose_worker_is_killed_is_told_by_its_name() {
    let folder = Folder::new();
    let source = source_of(&folder, 20, 32 << 20);
    let copy = folder.path("copy");
    let run = file_copy(&source, &copy).start();
    once_begun(&copy);
    // The pool's supervisor has the workers.
    let supervisor = children(run.pid())[0];
    kill(children(supervisor)[0], Signal::SIGKILL).unwrap();
    let run = run.finish();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    let told = &run.errors[0];
    assert!(
        told.contains("/source/") && told.contains("SIGKILL"),
        "{run:#?}"
    );
    let [files, copied, _, failed, _] = summary(&run);
    assert_eq!((files, copied, failed), (20, 19, 1));
}

#[test]
fn the_files_that_a_broken_pool_never_tried_are_told_too() {
    let folder = Folder::new();
    let source = source_of(&folder, 400, 8 << 20);
    let copy = folder.path("copy");
    let run = file_copy(&source, &copy).start();
    once_begun(&copy);
    kill(children(run.pid())[0], Signal::SIGKILL).unwrap();
    let run = run.finish();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    let [files, copied, unchanged, failed, _] = summary(&run);
    assert_eq!((files, unchanged), (400, 0));
    assert_eq!(copied + failed, 400);
    assert_eq!(run.errors.len() as u64, failed);
    for told in &run.errors {
        assert!(told.contains("/source/"), "{told}");
    }
}

#[test]
fn folders_that_are_there_are_left_as_they_are() {
    let folder = Folder::new();
    let (source, copy) = (folder.path("source"), folder.path("copy"));
    fs::create_dir_all(source.join("inner")).unwrap();
    let tree = Tree::of(&source).unwrap();
    let elsewhere = folder.path("elsewhere");
    fs::create_dir_all(&copy).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    for (before, after) in [(0o750, 0o750), (0o550, 0o750)] {
        let permissions = fs::Permissions::from_mode(before);
        fs::set_permissions(&elsewhere, permissions).unwrap();
        let _again = fs::remove_file(copy.join("inner"));
        symlink(&elsewhere, copy.join("inner")).unwrap();
        tree.make_folders(&source, &copy).unwrap();
        assert_eq!(mode(&elsewhere), after);
    }
    // A file in its place is neither changed nor a folder.
    fs::remove_file(copy.join("inner")).unwrap();
    fs::write(copy.join("inner"), "a file").unwrap();
    fs::set_permissions(copy.join("inner"), fs::Permissions::from_mode(0o600))
        .unwrap();
    let error = tree.make_folders(&source, &copy).unwrap_err();
    assert!(error.to_string().contains("/copy/inner: "), "{error}");
    assert_eq!(mode(&copy.join("inner")), 0o600);
}

#[test]
fn what_has_no_place_leaves_nothing() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "contents").unwrap();
    symlink("anywhere", folder.path("link")).unwrap();
    let copy = folder.path("copy");
    fs::create_dir_all(copy.join("taken/full")).unwrap();
    for one in ["file", "link"] {
        copy_file(&folder.path(one), &copy.join("taken")).unwrap_err();
        assert_eq!(fs::read_dir(&copy).unwrap().count(), 1, "{one}");
    }
}
