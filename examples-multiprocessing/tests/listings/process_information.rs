//! What a process knows of itself and may change: V21 to V24, D16.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, process};

use nix::sys::utsname::uname;
use nix::unistd::{getegid, geteuid, getgid, getuid};
use tutorial::harness::{Listing, listing, unique};

/// An id without rights, and not the one that the listings change to.
const ORDINARY: u32 = 65533;

/// The id that the listings change to.
const NOBODY: u32 = 65534;

/// Whether this machine lets the test become another user.
fn root() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("not root: the part as an ordinary user is all that is tested");
    }
    root
}

/// A copy of a listing where every user can start it, wherever this checkout is.
struct Copy(PathBuf);

impl Copy {
    fn new(listing: &str, mode: u32) -> Self {
        let name = listing.rsplit('/').next().unwrap();
        let path = env::temp_dir().join(unique(&format!("{name}-{mode:o}")));
        // Not by this process: what another test starts meanwhile would inherit the
        // file open for writing, and a file that is written cannot be run.
        let mut install = Command::new("install");
        install
            .arg("-m")
            .arg(format!("{mode:o}"))
            .arg(listing)
            .arg(&path);
        assert!(install.status().unwrap().success());
        Self(path)
    }

    /// To be run by an ordinary user: this one, or if that is root, by one
    /// without rights.
    fn by_an_ordinary_user(&self) -> Listing {
        let listing = Listing::new(self.0.to_str().unwrap());
        if root() {
            listing.user(ORDINARY)
        } else {
            listing
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

macro_rules! copy {
    ($name:literal) => {
        copy!($name, 0o755)
    };
    ($name:literal, $mode:literal) => {
        Copy::new(env!(concat!("CARGO_BIN_EXE_", $name)), $mode)
    };
}

/// The line that begins like this, without its beginning.
#[track_caller]
fn after<'a>(lines: &'a [String], beginning: &str) -> &'a str {
    lines
        .iter()
        .find_map(|line| line.strip_prefix(beginning))
        .unwrap_or_else(|| panic!("no line begins with {beginning:?}: {lines:#?}"))
}

#[test]
fn py_id_prints_the_real_ids() {
    let ids = [getuid().to_string(), getgid().to_string()];
    assert_eq!(listing!("py_id").run().success(), ids);

    let copy = copy!("py_id");
    if root() {
        assert_eq!(
            copy.by_an_ordinary_user().run().success(),
            [ORDINARY.to_string(), ORDINARY.to_string()]
        );
    }
}

#[test]
fn process_info_agrees_with_the_system() {
    let run = listing!("process_info").env("HOME", "/nowhere").start();
    let pid = run.pid();
    let lines = run.finish().success();
    let release = uname().unwrap();
    let release = release.release().to_str().unwrap();
    assert!(after(&lines, "uname: Linux ").starts_with(release));
    assert!(after(&lines, "umask: ").starts_with("0o"));
    let (uid, gid) = (getuid(), getgid());
    assert_eq!(
        after(&lines, "uid: "),
        format!("{uid}  euid: {}", geteuid())
    );
    assert_eq!(
        after(&lines, "gid: "),
        format!("{gid}  egid: {}", getegid())
    );
    assert_eq!(
        after(&lines, "pid: "),
        format!("{pid}  pgid: {pid}"),
        "the test makes it the leader of a group"
    );
    assert!(after(&lines, "ppid: ").starts_with(&process::id().to_string()));
    assert_eq!(after(&lines, "environ HOME: "), r#"Some("/nowhere")"#);
    assert_eq!(
        after(&lines, "environ TUTORIAL: "),
        r#"Some("multiprocessing")"#
    );
}

/// Whether the system refused it for want of the right.
fn refused(line: &str) -> bool {
    line.starts_with("refused, it is still ")
        && line.ends_with(": Operation not permitted")
}

#[test]
fn process_set_is_refused_to_an_ordinary_user() {
    let copy = copy!("process_set");
    let lines = copy.by_an_ordinary_user().run().success();
    // To `nobody`, its own ids are not refused.
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    for (what, own) in [("egid", gid), ("euid", uid), ("gid", gid), ("uid", uid)] {
        let now = after(&lines, &format!("{what}: "));
        if own == NOBODY {
            assert_eq!(now, format!("it is {NOBODY} now"), "{what}");
        } else {
            assert!(refused(now), "{what}: {now}");
        }
    }
    assert!(refused(after(&lines, "uid taken back: ")), "{lines:#?}");
    assert!(after(&lines, "sid by a group's leader: ").starts_with("refused"));
    assert!(after(&lines, "sid by a new process: ").starts_with("it is "));
}

#[test]
fn process_set_works_for_root_until_it_has_given_that_up() {
    if root() {
        let lines = listing!("process_set").run().success();
        assert_eq!(after(&lines, "euid: "), "it is 65534 now");
        assert_eq!(after(&lines, "euid taken back: "), "it is 0 now");
        assert_eq!(after(&lines, "uid: "), "it is 65534 now");
        let refused = "refused, it is still 65534: Operation not permitted";
        assert_eq!(after(&lines, "uid taken back: "), refused);
    }
}

/// What the program does as soon as it has this user's rights and root's in reserve.
fn drops_and_regains(user: u32) -> [String; 4] {
    [
        format!("dropped: ({user}, {user}, 0)"),
        format!("taken back: ({user}, 0, 0)"),
        format!("dropped for good: ({user}, {user}, {user})"),
        "taking it back is refused: Operation not permitted".into(),
    ]
}

#[test]
fn saved_uid_has_nothing_to_drop_for_an_ordinary_user() {
    let copy = copy!("saved_uid");
    let lines = copy.by_an_ordinary_user().run().success();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[1].starts_with("There is no privilege to drop"));
}

#[test]
fn saved_uid_drops_and_regains_root() {
    if root() {
        let lines = listing!("saved_uid").run().success();
        assert_eq!(lines[..2], ["(0, 0, 0)", "(65534, 0, 0)"]);
        assert_eq!(lines[2..], drops_and_regains(65534));
    }
}

#[test]
fn saved_uid_is_root_by_its_set_uid_bit() {
    let copy = copy!("saved_uid", 0o4755);
    if root() {
        let lines = copy.by_an_ordinary_user().run().success();
        if lines[0] == format!("({ORDINARY}, {ORDINARY}, {ORDINARY})") {
            eprintln!("the temporary folder is mounted without set-uid: not tested");
            return;
        }
        assert_eq!(lines[0], format!("({ORDINARY}, 0, 0)"));
        assert_eq!(lines[1..], drops_and_regains(ORDINARY));
    }
}

#[test]
fn nice_may_be_lowered_by_anybody_and_raised_by_root() {
    let copy = copy!("nice");
    let lines = copy.by_an_ordinary_user().run().success();
    // Counted from where the test itself is.
    let start: i32 = after(&lines, "priority: ").parse().unwrap();
    let nicer = (start + 5).min(19);
    assert_eq!(after(&lines, "5 nicer: "), nicer.to_string());
    assert!(after(&lines, "10 less nice: ").starts_with("refused: "));

    if root() {
        let lines = listing!("nice").run().success();
        assert_eq!(after(&lines, "set to 15: "), "15");
        // Root in a container may lack the right.
        let less = after(&lines, "10 less nice: ");
        assert!(less == "5" || less.starts_with("refused: "), "{less}");
    }
}
