//! A pipe that unrelated programs find by its name.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// A FIFO, a pipe with a name in the file system, for programs that are not related:
/// Python's [`os.mkfifo`](https://docs.python.org/3/library/os.html#os.mkfifo) and
/// `open`.
///
/// It carries bytes, not messages; the standard library's readers and writers make
/// lines of them. A piece of at most 4096 bytes that is written at once is not mixed
/// with those of other writers.
///
/// The process that made the file removes it when it drops this. A process that is killed
/// leaves the file, since its name is what others look for: the next one that finds it
/// may use it, or [`remove`](Self::remove) it.
///
/// ```
/// use multiprocessing::NamedPipe;
/// use std::io::{Read, Write};
/// use std::thread;
///
/// # fn main() -> std::io::Result<()> {
/// let path = std::env::temp_dir().join(format!("talk-{}", std::process::id()));
/// let fifo = NamedPipe::create(&path)?;
/// thread::scope(|s| {
///     s.spawn(|| fifo.writer()?.write_all(b"hello")); // opens when the reader does
///     let mut said = String::new();
///     fifo.reader()?.read_to_string(&mut said)?;
///     assert_eq!(said, "hello");
///     Ok::<(), std::io::Error>(())
/// })?;
/// assert!(!NamedPipe::open(&path)?.is_creator());
/// drop(fifo);
/// assert!(!path.exists());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NamedPipe {
    path: PathBuf,
    /// The process that removes the file: a fork of the creator must not.
    creator: Option<u32>,
}

impl NamedPipe {
    /// Makes the file, for this user alone.
    ///
    /// # Errors
    ///
    /// The system's, such as [`io::ErrorKind::AlreadyExists`].
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let this = Self {
            path: path.into(),
            creator: Some(process::id()),
        };
        // The umask may have withheld these.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(this)
    }

    /// Uses a file that another process made.
    ///
    /// # Errors
    ///
    /// The system's, such as [`io::ErrorKind::NotFound`], and
    /// [`io::ErrorKind::InvalidInput`] for a file that is not a FIFO.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        if !fs::metadata(path)?.file_type().is_fifo() {
            return Err(Errno::EINVAL.into());
        }
        Ok(Self {
            path: path.into(),
            creator: None,
        })
    }

    /// Whether this process made the file, and so removes it.
    #[must_use]
    pub fn is_creator(&self) -> bool {
        self.creator == Some(process::id())
    }

    /// The end to read from. Waits until the other has been opened. Reading ends
    /// when every writer has closed it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn reader(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// The end to write to. Waits until the other has been opened.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn writer(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(&self.path)
    }

    /// The end to write to if the other is open now, and otherwise `None`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn writer_if_read(&self) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
        match options.open(&self.path) {
            // To open it again without the flag would wait if the reader has gone.
            Ok(writer) => {
                fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty()))?;
                Ok(Some(writer))
            }
            Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the file, even if another process made it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn remove(mut self) -> io::Result<()> {
        self.creator = None;
        fs::remove_file(&self.path)
    }
}

impl Drop for NamedPipe {
    fn drop(&mut self) {
        if self.is_creator() {
            // It may have been removed before.
            fs::remove_file(&self.path).ok();
        }
    }
}
