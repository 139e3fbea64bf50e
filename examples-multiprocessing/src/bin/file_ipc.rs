//! Two processes talk through a file.
//!
//! Listing D28, 达内 course notes, B.文件 (prose). It is the simplest way and works
//! everywhere, but only the order of starting decides who may write when.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::{env, process};

use multiprocessing::Process;
use tutorial::{Result, with_path};

fn ask(path: &Path) -> io::Result<()> {
    let mut f = File::create(path)?; // mode w: what was there is gone
    writeln!(f, "How are you?")
}

fn answer(path: &Path) -> io::Result<()> {
    // Mode a+: it writes at the end. Python reads from there as well, and needs
    // `f.seek(0)` first; Rust reads from the start.
    let mut f = OpenOptions::new().read(true).append(true).open(path)?;
    let mut question = String::new();
    f.read_to_string(&mut question)?;
    println!("read: {}", question.trim_end());
    println!("tell: {}", f.stream_position()?);
    writeln!(f, "I am fine, thank you")
    // Closed here. Python needs `close` or `with`.
}

fn look(path: &Path) -> io::Result<()> {
    let mut f = File::open(path)?; // mode rb: in Rust every file is binary
    f.seek(SeekFrom::Start(4))?;
    let mut bytes = [0; 3];
    f.read_exact(&mut bytes)?;
    println!("seek(4), read(3): b'{}'", bytes.escape_ascii());
    print!("{}", fs::read_to_string(path)?); // mode r: an error if it is not UTF-8
    Ok(())
}

fn talk(path: &Path) -> Result<()> {
    for say in [ask, answer] {
        let mut p = Process::new(|| say(path));
        p.start()?;
        p.join()?;
    }
    look(path).map_err(with_path(path))?;
    Ok(())
}

fn main() -> Result<()> {
    let path = env::temp_dir().join(format!("file_ipc-{}", process::id()));
    println!("the file is {}", path.display());
    let talked = talk(&path);
    fs::remove_file(&path).map_err(with_path(&path))?;
    talked
}
