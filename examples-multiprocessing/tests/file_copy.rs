//! The big exercise, D57: a folder copied by a pool. And the hash of a file, D63.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use sha2::{Digest, Sha512};
use tempfile::TempDir;
use tutorial::harness::{Finished, Listing, Watchdog, listing};
use tutorial::{Copied, Tree, copy_file};

/// A folder of this test's own, removed at its end.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = TempDir::with_prefix("file_copy-").unwrap();
        let for_all = fs::Permissions::from_mode(0o777);
        fs::set_permissions(folder.path(), for_all).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
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
        // An ordinary user must be able to read what is to be removed.
        let mut chmod = Command::new("chmod");
        chmod.args(["-R", "u+rwX"]).arg(self.0.path());
        chmod.status().unwrap();
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
    let run = file_copy(&source, &copy).run();
    assert_eq!(summary(&run), [1002, 2, 1000, 0, 3]);
    assert_same(&source, &copy);
}

#[test]
fn what_cannot_be_copied_is_reported_and_the_rest_is_copied() {
    let folder = Folder::new();
    let (source, copy) = (folder.path("source"), folder.path("copy"));
    fs::create_dir_all(source.join("closed")).unwrap();
    for file in ["good", "secret", "last"] {
        fs::write(source.join(file), file).unwrap();
    }
    mkfifo(&source.join("fifo"), Mode::S_IRWXU).unwrap();
    let none = fs::Permissions::from_mode(0o000);
    fs::set_permissions(source.join("secret"), none.clone()).unwrap();
    fs::set_permissions(source.join("closed"), none).unwrap();
    let run = if nix::unistd::geteuid().is_root() {
        // Root may read everything.
        file_copy(&source, &copy).user(65534)
    } else {
        file_copy(&source, &copy)
    };
    let run = run.run();
    fs::set_permissions(source.join("closed"), fs::Permissions::from_mode(0o700))
        .unwrap();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    let reported = run.errors.concat();
    for name in ["secret", "closed", "fifo"] {
        assert!(reported.contains(&format!("/source/{name}: ")), "{run:#?}");
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
    for run in [
        listing!("file_copy").arg("one"),
        file_copy(&folder.path("nothing"), &folder.path("copy")),
        file_copy(folder.0.path(), &inside),
    ] {
        let run = run.run();
        assert_eq!(run.status.code(), Some(1), "{run:#?}");
        assert_eq!((run.errors.len(), run.lines.len()), (1, 0), "{run:#?}");
    }
    assert!(!inside.exists());
}

/// A folder with a number of files that have this number of bytes, all of them zero.
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
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_interrupted_copy_has_no_half_written_file() {
    let folder = Folder::new();
    let source = source_of(&folder, 60, 2 << 20);
    let copy = folder.path("copy");
    let run = file_copy(&source, &copy).start();
    once_begun(&copy);
    run.signal(Signal::SIGINT);
    let run = run.finish();
    assert_eq!(run.signal(), Some(Signal::SIGINT as i32), "{run:#?}");
    assert_eq!(run.errors, [""; 0]);
    let contents = vec![0; 2 << 20];
    for entry in fs::read_dir(&copy).unwrap() {
        let entry = entry.unwrap();
        assert!(fs::read(entry.path()).unwrap() == contents, "{entry:?}");
    }
    let again = file_copy(&source, &copy).run();
    assert_eq!(again.status.code(), Some(0));
    let names = fs::read_dir(&copy).unwrap().count();
    assert_eq!(names, 60, "nothing is left of the first run");
}

/// The children of a process.
fn children(of: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // After the name, which may hold anything, come the state and the parent.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        (parent == of.to_string()).then_some(Pid::from_raw(pid))
    });
    processes.collect()
}

/// A child of the supervisor that has a file of this folder open: one that has none is
/// between two tasks, and its end costs nothing.
fn a_process_that_reads(folder: &Path, supervisor: Pid) -> Pid {
    let start = Instant::now();
    loop {
        for child in children(supervisor) {
            let open = fs::read_dir(format!("/proc/{child}/fd"));
            let mut files = open.into_iter().flatten().flatten();
            let file = |entry: &fs::DirEntry| fs::read_link(entry.path()).ok();
            if files.any(|entry| {
                file(&entry).is_some_and(|file| {
                    file.starts_with(folder) && file != folder && file.is_file()
                })
            }) {
                return child;
            }
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "no worker ever reads"
        );
    }
}

#[test]
fn a_file_whose_worker_is_killed_is_reported_by_its_name() {
    let folder = Folder::new();
    let source = source_of(&folder, 20, 16 << 20);
    let copy = folder.path("copy");
    let run = file_copy(&source, &copy).start();
    once_begun(&copy);
    // The pool's supervisor has the workers.
    let supervisor = children(run.pid())[0];
    kill(a_process_that_reads(&source, supervisor), Signal::SIGKILL).unwrap();
    let run = run.finish();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    let error = &run.errors[0];
    assert!(
        error.contains("/source/") && error.contains("SIGKILL"),
        "{run:#?}"
    );
    let [files, copied, _, failed, _] = summary(&run);
    assert_eq!((files, copied, failed), (20, 19, 1));
}

#[test]
fn the_files_that_a_broken_pool_never_tried_are_reported_too() {
    let folder = Folder::new();
    let source = source_of(&folder, 100, 8 << 20);
    let copy = folder.path("copy");
    let run = file_copy(&source, &copy).start();
    once_begun(&copy);
    kill(children(run.pid())[0], Signal::SIGKILL).unwrap();
    let run = run.finish();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    let [files, copied, unchanged, failed, _] = summary(&run);
    assert_eq!((files, unchanged), (100, 0));
    assert_eq!(copied + failed, 100);
    let (last, errors) = run.errors.split_last().unwrap();
    assert_eq!(errors.len() as u64, failed);
    for error in errors {
        assert!(error.contains("/source/"), "{error}");
    }
    assert_eq!(last, "Error: Not everything was copied: see above.");
}

#[test]
fn file_copy_alone_shows_itself_on_a_folder_that_it_removes() {
    let folder = Folder::new();
    let mut run = listing!("file_copy").env("TMPDIR", folder.0.path()).run();
    let place = format!("copying {}/file_copy-", folder.0.path().display());
    assert!(run.lines.remove(0).starts_with(&place), "{run:#?}");
    let bytes = (0..1000_u64).map(|n| n * n.to_string().len() as u64).sum();
    assert_eq!(summary(&run), [1000, 1000, 0, 0, bytes]);
    assert_eq!(run.status.code(), Some(0), "{run:#?}");
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 0);
}

#[test]
fn files_with_names_like_those_of_unfinished_copies_are_copied_too() {
    let folder = Folder::new();
    let (source, copy) = (folder.path("source"), folder.path("copy"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&copy).unwrap();
    for n in 0..50 {
        // The older ones are copied over what is there, which takes a name meanwhile.
        for name in [format!("f{n}"), format!(".f{n}.part"), format!(".copy-{n}")] {
            fs::write(source.join(&name), &name).unwrap();
            if n < 25 {
                fs::write(copy.join(&name), "before").unwrap();
            }
        }
    }
    fs::write(copy.join(".f0.copy"), "of somebody else").unwrap();
    let run = file_copy(&source, &copy).run();
    assert_eq!(run.status.code(), Some(0), "{run:#?}");
    assert_eq!(summary(&run)[..2], [150, 150]);
    fs::remove_file(copy.join(".f0.copy")).expect("it was left alone");
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name(), fs::read(entry.path()).unwrap())
        });
        entries.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(names(&source), names(&copy));
}

/// Copies one file again and again while a thread exchanges what two places hold, and
/// hands every copy to `check`.
fn copy_while_two_are_exchanged(
    folder: &Folder,
    file: &str,
    places: [&str; 2],
    check: impl Fn(&Path),
) {
    let _watchdog = Watchdog::start();
    let [one, other] = places.map(|place| folder.path(place));
    let exchange = || {
        renameat2(
            AT_FDCWD,
            &one,
            AT_FDCWD,
            &other,
            RenameFlags::RENAME_EXCHANGE,
        )
    };
    if exchange() == Err(Errno::EINVAL) {
        eprintln!("this file system cannot exchange two names: not tested");
        return;
    }
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|s| {
        s.spawn(move || {
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                exchange().unwrap();
            }
        });
        let _dropped_at_the_end = stop;
        let (source, copy) = (folder.path("source"), folder.path("copy"));
        let (start, mut copied) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(1) || copied < 10 {
            if copy_file(&source, &copy, Path::new(file)).is_ok() {
                copied += 1;
                check(&copy.join(file));
            }
            fs::remove_file(copy.join(file)).ok();
        }
    });
}

#[test]
fn a_link_that_takes_a_files_place_meanwhile_is_not_followed() {
    let folder = Folder::new();
    for name in ["source", "copy"] {
        fs::create_dir(folder.path(name)).unwrap();
    }
    fs::write(folder.path("secret"), "secret").unwrap();
    fs::write(folder.path("source/file"), "public").unwrap();
    symlink("../secret", folder.path("link")).unwrap();
    let places = ["source/file", "link"];
    copy_while_two_are_exchanged(&folder, "file", places, |copy| {
        if !copy.is_symlink() {
            assert_eq!(fs::read_to_string(copy).unwrap(), "public");
        }
    });
}

#[test]
fn a_pipe_that_takes_a_files_place_meanwhile_is_not_waited_for() {
    let folder = Folder::new();
    for name in ["source", "copy"] {
        fs::create_dir(folder.path(name)).unwrap();
    }
    fs::write(folder.path("source/file"), "public").unwrap();
    mkfifo(&folder.path("pipe"), Mode::S_IRWXU).unwrap();
    let places = ["source/file", "pipe"];
    copy_while_two_are_exchanged(&folder, "file", places, |copy| {
        assert_eq!(fs::read_to_string(copy).unwrap(), "public");
    });
}

#[test]
fn a_link_that_takes_a_folders_place_meanwhile_is_not_followed() {
    let folder = Folder::new();
    for (name, contents) in [("source/deep", "public"), ("elsewhere", "secret")] {
        fs::create_dir_all(folder.path(name)).unwrap();
        fs::write(folder.path(name).join("file"), contents).unwrap();
    }
    fs::create_dir_all(folder.path("copy/deep")).unwrap();
    symlink("../elsewhere", folder.path("link")).unwrap();
    let places = ["source/deep", "link"];
    copy_while_two_are_exchanged(&folder, "deep/file", places, |copy| {
        assert_eq!(fs::read_to_string(copy).unwrap(), "public");
    });
}

#[test]
fn the_set_id_bits_are_kept_for_the_same_owner_only() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("source/inner")).unwrap();
    for name in ["mine", "another's", "inner/file"] {
        fs::write(folder.path("source").join(name), name).unwrap();
    }
    let mode = |name: &str| fs::metadata(folder.path(name)).unwrap().mode() & 0o7777;
    let root = nix::unistd::geteuid().is_root();
    for name in ["mine", "another's", "inner"] {
        let path = folder.path("source").join(name);
        if root && name != "mine" {
            chown(&path, Some(65533), Some(65533)).unwrap();
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o6755)).unwrap();
    }
    let run = file_copy(&folder.path("source"), &folder.path("copy")).run();
    assert_eq!(run.status.code(), Some(0), "{run:#?}");
    assert_eq!(mode("copy/mine"), 0o6755);
    if root {
        assert_eq!(mode("copy/another's"), 0o755);
        assert_eq!(mode("copy/inner"), 0o755);
    } else {
        eprintln!("not root: nothing of another user is copied");
    }
}

#[test]
fn a_sparse_file_stays_sparse() {
    let folder = Folder::new();
    fs::create_dir(folder.path("source")).unwrap();
    let original = folder.path("source/sparse");
    let file = File::create(&original).unwrap();
    for place in [8 << 20, 24 << 20] {
        file.write_all_at(b"data", place).unwrap();
    }
    file.set_len(32 << 20).unwrap();
    let blocks = |path: &Path| fs::metadata(path).unwrap().blocks();
    if blocks(&original) > 1000 {
        eprintln!("this file system has no sparse files: not tested");
        return;
    }
    let run = file_copy(&folder.path("source"), &folder.path("copy")).run();
    assert_eq!(run.status.code(), Some(0), "{run:#?}");
    let copy = folder.path("copy/sparse");
    assert!(fs::read(&original).unwrap() == fs::read(&copy).unwrap());
    assert!(blocks(&copy) <= 1000, "{} blocks", blocks(&copy));
}

#[test]
fn hard_links_become_files_of_their_own() {
    let folder = Folder::new();
    let source = folder.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("one"), "contents").unwrap();
    fs::hard_link(source.join("one"), source.join("two")).unwrap();
    let run = file_copy(&source, &folder.path("copy")).run();
    assert_eq!(summary(&run), [2, 2, 0, 0, 16]);
    for name in ["copy/one", "copy/two"] {
        assert_eq!(fs::metadata(folder.path(name)).unwrap().nlink(), 1);
    }
}

#[test]
fn a_folder_that_is_there_is_made_writable_and_what_is_not_a_folder_is_an_error() {
    let folder = Folder::new();
    let (source, copy) = (folder.path("source"), folder.path("copy"));
    fs::create_dir_all(source.join("inner")).unwrap();
    let tree = Tree::of(&source).unwrap();
    let (elsewhere, inner) = (folder.path("elsewhere"), copy.join("inner"));
    fs::create_dir_all(&inner).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (before, after) in [(0o750, 0o750), (0o550, 0o750)] {
        set_mode(&inner, before);
        tree.make_folders(&source, &copy).unwrap();
        assert_eq!(mode(&inner), after);
    }
    fs::remove_dir(&inner).unwrap();

    let refused = || {
        let error = tree.make_folders(&source, &copy).unwrap_err();
        assert!(error.to_string().contains("/copy/inner: "), "{error}");
        fs::remove_file(&inner).unwrap();
    };
    set_mode(&elsewhere, 0o550);
    symlink(&elsewhere, &inner).unwrap();
    refused();
    assert_eq!(mode(&elsewhere), 0o550);
    fs::write(&inner, "a file").unwrap();
    refused();
}

#[test]
fn what_has_no_place_leaves_nothing() {
    let folder = Folder::new();
    let (source, copy) = (folder.path("source"), folder.path("copy"));
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("file"), "contents").unwrap();
    symlink("anywhere", source.join("link")).unwrap();
    for one in ["file", "link"] {
        fs::create_dir_all(copy.join(one).join("full")).unwrap();
        copy_file(&source, &copy, Path::new(one)).unwrap_err();
    }
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 2);
}

#[test]
fn a_copy_that_is_there_is_proved_and_not_followed() {
    let folder = Folder::new();
    let (source, copy) = (folder.path("source"), folder.path("copy"));
    fs::create_dir_all(&source).unwrap();
    fs::create_dir_all(&copy).unwrap();
    fs::write(source.join("file"), "contents").unwrap();
    fs::write(folder.path("outside"), "contents").unwrap();
    symlink("../outside", copy.join("file")).unwrap();
    let file = Path::new("file");
    assert_eq!(copy_file(&source, &copy, file).unwrap(), Copied::Bytes(8));
    assert!(!copy.join(file).is_symlink());
    assert_eq!(copy_file(&source, &copy, file).unwrap(), Copied::Nothing);
}

#[test]
fn file_hash_prints_the_hash_of_the_whole_file() {
    let folder = Folder::new();
    let path = folder.path("file");
    let hash = |contents: &[u8]| {
        fs::write(&path, contents).unwrap();
        listing!("file_hash").arg(&path).run().success().concat()
    };
    // The test vector of the standard, FIPS 180-4
    let abc = hash(b"abc");
    assert!(abc.starts_with("ddaf35a193617abacc417349ae204131"), "{abc}");
    for length in [0, 1, 1 << 16, 99_999] {
        let contents = vec![0xff; length];
        let mut whole = String::new();
        for byte in Sha512::digest(&contents) {
            write!(whole, "{byte:02x}").unwrap();
        }
        assert_eq!(hash(&contents), whole, "{length} bytes");
    }
    assert_eq!(listing!("file_hash").run().success()[0].len(), 128);
    let missing = folder.path("missing");
    let run = listing!("file_hash").arg(&missing).run();
    let place = format!("Error: {}: ", missing.display());
    assert!(run.errors[0].starts_with(&place), "{run:#?}");
}
