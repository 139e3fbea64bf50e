//! Two processes talk through a file.
//!
//! Listing D28, 达内 course notes, day02 B.文件 (prose). The plainest way of all: it works
//! everywhere, and nothing but the order of starting tells who may write when.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process;

use multiprocessing::Process;
use tutorial::Result;

fn ask(path: &Path) -> io::Result<()> {
    let mut f = File::create(path)?; // mode w: what was there is gone
    writeln!(f, "How are you?")
}

fn answer(path: &Path) -> io::Result<()> {
    let mut f = OpenOptions::new().read(true).append(true).open(path)?; // mode a+
    let mut question = String::new();
    f.read_to_string(&mut question)?;
    println!("read: {}", question.trim_end());
    writeln!(f, "I am fine, thank you")
    // Closed here, where Python needs `close` or `with`.
}

fn talk(path: &Path) -> Result<()> {
    for say in [ask, answer] {
        let mut p = Process::new(|| say(path));
        p.start()?;
        p.join()?;
    }
    print!("{}", fs::read_to_string(path)?); // mode r
    Ok(())
}

fn main() -> Result<()> {
    let path = env::temp_dir().join(format!("file_ipc-{}", process::id()));
    let talked = talk(&path);
    fs::remove_file(&path)?;
    talked
}
