//! The SHA-512 of a file that is read in pieces: it may be larger than memory.
//!
//! Listing D63, 达内 course notes, 创建 sha512 算法. An argument names the file; without
//! one it is this program itself. The listing reads text and encodes it again: that
//! fails on other files, and changes the bytes if line ends are not `\n`.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha512};
use tutorial::{Result, with_path};

const BUFSIZE: usize = 1 << 16;

fn sha512(path: &Path) -> io::Result<[u8; 64]> {
    let mut digest = Sha512::new();
    let mut f = File::open(path)?;
    let mut chunk = vec![0; BUFSIZE];
    loop {
        let length = f.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        digest.update(&chunk[..length]);
    }
    Ok(digest.finalize().into())
}

fn main() -> Result<()> {
    let path = env::args_os()
        .nth(1)
        .map_or_else(env::current_exe, |path| Ok(PathBuf::from(path)))?;
    for byte in sha512(&path).map_err(with_path(&path))? {
        print!("{byte:02x}");
    }
    println!();
    Ok(())
}
