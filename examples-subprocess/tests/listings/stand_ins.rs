//! Programs of the tests' own in place of those a listing starts.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A directory of small shell scripts, removed when it is dropped.
pub(crate) struct StandIns {
    directory: TempDir,
}

impl StandIns {
    /// No program at all.
    pub(crate) fn none() -> Self {
        let directory = TempDir::with_prefix("stand-ins-");
        let directory = directory.expect("a directory of our own");
        Self { directory }
    }

    /// This script under the name of a program.
    pub(crate) fn with(self, program: &str, script: &str) -> Self {
        // Written by another process: a test that starts a program at this moment
        // would hand it the open file, and a file open for writing cannot be run.
        let mut writer = Command::new("sh")
            .args(["-c", "cat >\"$0\" && chmod +x \"$0\""])
            .arg(self.directory.path().join(program))
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let script = format!("#!/bin/sh\n{script}\n");
        let stdin = writer.stdin.as_mut().unwrap();
        stdin.write_all(script.as_bytes()).expect("a shell reads");
        assert!(writer.wait().expect("our own child").success());
        self
    }

    /// The path of a copy of this program that stands here alone.
    pub(crate) fn copy_of(&self, program: &str) -> String {
        let copy = self
            .directory
            .path()
            .join(Path::new(program).file_name().unwrap());
        // By another process, for the reason above.
        let mut cp = Command::new("cp");
        let copied = cp.arg(program).arg(&copy).status().expect("a cp");
        assert!(copied.success());
        copy.into_os_string().into_string().unwrap()
    }

    /// A PATH with these programs and no other.
    pub(crate) fn alone(&self) -> OsString {
        self.directory.path().into()
    }

    /// A PATH with these programs before all others.
    pub(crate) fn first(&self) -> OsString {
        let mut path = self.alone();
        path.push(":");
        path.push(env::var_os("PATH").expect("a PATH"));
        path
    }
}
