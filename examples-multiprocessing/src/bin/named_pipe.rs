//! Two programs that are not related talk through a FIFO.
//!
//! Listing D30, 达内 course notes, named pipe (prose). Run it twice, in two terminals:
//! the first reads, the second writes. An argument names another FIFO.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process;

use multiprocessing::NamedPipe;
use tutorial::{Result, with_path};

fn talk(path: &Path) -> io::Result<()> {
    let fifo = match NamedPipe::create(path) {
        // Made by the other run, or left by one that was ended by Ctrl+C.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            NamedPipe::open(path)?
        }
        fifo => fifo?,
    };
    if let Some(mut writer) = fifo.writer_if_read()? {
        write!(writer, "hello from {}", process::id())?;
    } else {
        println!("waiting at {}", path.display());
        let mut said = String::new();
        fifo.reader()?.read_to_string(&mut said)?;
        println!("read: {said}");
        fifo.remove()?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let path = env::args_os().nth(1).map_or_else(
        || env::temp_dir().join("examples-named_pipe"),
        PathBuf::from,
    );
    talk(&path).map_err(with_path(&path))?;
    Ok(())
}
