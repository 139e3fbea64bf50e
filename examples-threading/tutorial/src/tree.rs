//! Copying a folder so that every copy is proved.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::hash::BuildHasher;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, process};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat, readlinkat, renameat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmodat, fstatat,
    mkdirat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, Whence, linkat, lseek, symlinkat, unlinkat};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};

/// What a folder holds: Python's
/// [`os.walk`](https://docs.python.org/3/library/os.html#os.walk), all at once. All
/// paths are relative to the folder.
///
/// ```
/// use std::fs;
/// use std::path::Path;
/// use tutorial::{Copied, Tree, copy_file};
///
/// # fn main() -> std::io::Result<()> {
/// let folder = std::env::temp_dir().join(format!("tree-{}", std::process::id()));
/// let (source, copy) = (folder.join("source"), folder.join("copy"));
/// fs::create_dir_all(source.join("empty"))?;
/// fs::write(source.join("file"), "contents")?;
///
/// let tree = Tree::of(&source)?;
/// assert_eq!(tree.files, [Path::new("file")]);
/// tree.make_folders(&source, &copy)?;
/// assert_eq!(copy_file(&source, &copy, &tree.files[0])?, Copied::Bytes(8));
/// assert_eq!(copy_file(&source, &copy, &tree.files[0])?, Copied::Nothing);
/// tree.finish_folders(&source, &copy)?;
/// assert_eq!(fs::read(copy.join("file"))?, b"contents");
/// # fs::remove_dir_all(folder)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Tree {
    /// The folders in it, each after the one that it lies in.
    pub folders: Vec<PathBuf>,
    /// Everything that is not a folder: files, links, and what cannot be copied.
    pub files: Vec<PathBuf>,
    /// The folders that could not be read, and why.
    pub closed: Vec<(PathBuf, io::Error)>,
}

impl Tree {
    /// Lists a folder and all folders in it. Links to folders are not followed.
    ///
    /// # Errors
    ///
    /// The folder itself cannot be read. What cannot be read in it is in
    /// [`closed`](Self::closed).
    pub fn of(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.list(root, PathBuf::new())?;
        let mut next = 0;
        while let Some(folder) = tree.folders.get(next).cloned() {
            if let Err(error) = tree.list(root, folder.clone()) {
                tree.closed.push((folder, error));
            }
            next += 1;
        }
        Ok(tree)
    }

    fn list(&mut self, root: &Path, folder: PathBuf) -> io::Result<()> {
        let place = root.join(&folder);
        for entry in fs::read_dir(&place).map_err(with_path(&place))? {
            let entry = entry.map_err(with_path(&place))?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.folders.push(path);
            } else {
                self.files.push(path);
            }
        }
        Ok(())
    }

    /// Makes all folders in the copy. A folder that exists stays, and is made
    /// writable for its owner until [`finish_folders`](Self::finish_folders).
    ///
    /// # Errors
    ///
    /// The first folder that cannot be made. A link in the place of a folder is an
    /// error, as it leads out of the copy. The copy must not lie in the folder
    /// itself.
    pub fn make_folders(&self, source: &Path, copy: &Path) -> io::Result<()> {
        let place = std::path::absolute(copy)?;
        let there = place
            .ancestors()
            .find_map(|folder| folder.canonicalize().ok());
        if there.is_some_and(|there| {
            source
                .canonicalize()
                .is_ok_and(|source| there.starts_with(source))
        }) {
            let error = io::Error::other("a folder cannot be copied into itself");
            return Err(with_path(copy)(error));
        }
        fs::create_dir_all(copy).map_err(with_path(copy))?;
        for folder in &self.folders {
            let made =
                Place::new(copy, folder).and_then(|place| place.make_folder());
            made.map_err(with_path(&copy.join(folder)))?;
        }
        Ok(())
    }

    /// Gives the copy's folders the permissions and times of their originals. Call
    /// it when nothing is written into them any more.
    ///
    /// # Errors
    ///
    /// The first folder for which the system refuses it.
    pub fn finish_folders(&self, source: &Path, copy: &Path) -> io::Result<()> {
        let itself = PathBuf::new();
        for folder in self.folders.iter().rev().chain([&itself]) {
            finish_folder(source, copy, folder)
                .map_err(with_path(&copy.join(folder)))?;
        }
        Ok(())
    }
}

fn finish_folder(source: &Path, copy: &Path, folder: &Path) -> io::Result<()> {
    let original = File::from(open_folder(source, folder)?).metadata()?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let copy = openat(open_folder(copy, folder)?, ".", flags, Mode::empty())?;
    keep_attributes(&original, &File::from(copy))
}

/// For `map_err`: the error with the path that it is about in front of it.
///
/// ```
/// use std::fs;
/// use std::path::Path;
/// use tutorial::with_path;
///
/// let path = Path::new("/no/such/file");
/// let error = fs::read(path).map_err(with_path(path)).unwrap_err();
/// assert!(error.to_string().starts_with("/no/such/file: No such file"));
/// ```
pub fn with_path(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What [`copy_file`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Copied {
    /// The number of bytes that the copy has.
    Bytes(u64),
    /// The copy was there already, and is the same.
    Nothing,
}

/// Copies one file or symbolic link of a folder into a copy of the folder, with its
/// permissions and times, and proves the copy by the SHA-512 of both: Python's
/// [`shutil.copy2`](https://docs.python.org/3/library/shutil.html#shutil.copy2) with
/// `follow_symlinks=False`, and the proof. `file` is relative to both folders.
///
/// - The copy gets its name when it is whole, in one step, and takes the place of what
///   had this name. Until then it has no name, and is gone if this process is killed.
///   On a file system without unnamed files (mostly those of a network) it has a name
///   `.copy-…` that was free; a process that is killed leaves it behind.
/// - No link is followed below the two folders, and what is copied is what was opened:
///   a file or folder that is replaced meanwhile leads nowhere else.
/// - The holes of a sparse file stay holes. The system copies, without the bytes
///   passing through this process, and shares them between the two files if the file
///   system can.
/// - Hard links become files of their own. The owner, the access control list and the
///   extended attributes are not copied. Set-user-id and set-group-id bits are kept
///   only if the copy has the owner and the group of the original.
///
/// # Errors
///
/// What the system refuses; a copy that is not the same as its original, because
/// somebody wrote to that meanwhile; something that is neither a file nor a link.
pub fn copy_file(source: &Path, copy: &Path, file: &Path) -> io::Result<Copied> {
    let from = Place::new(source, file)?;
    let to = Place::new(copy, file)?;
    let status = from.status()?;
    match kind(&status) {
        SFlag::S_IFREG => {}
        SFlag::S_IFLNK => return copy_link(&status, &from, &to),
        SFlag::S_IFIFO => return Err(io::Error::other("it is a named pipe")),
        SFlag::S_IFSOCK => return Err(io::Error::other("it is a socket")),
        _ => return Err(io::Error::other("it is neither a file nor a link")),
    }
    let mut source = from.open()?;
    let original = source.metadata()?;
    if !original.is_file() {
        return Err(io::Error::other("it is not the file any more that it was"));
    }
    let mut hash = None;
    if let Ok(mut copy) = to.open()
        && let Ok(there) = copy.metadata()
        && there.is_file()
        && there.len() == original.len()
    {
        let of_source = sha512(&mut source)?;
        if sha512(&mut copy)? == of_source {
            keep_attributes(&original, &copy)?;
            return Ok(Copied::Nothing);
        }
        hash = Some(of_source);
    }

    let mut copy = Part::new(&to.folder)?;
    copy_data(&source, &copy.file, original.len())?;
    let hash = match hash {
        Some(hash) => hash,
        None => sha512(&mut source)?,
    };
    if sha512(&mut copy.file)? != hash {
        return Err(io::Error::other(
            "the copy's SHA-512 differs: copy the file when nobody writes to it",
        ));
    }
    keep_attributes(&original, &copy.file)?;
    copy.finish(&to.name)?;
    Ok(Copied::Bytes(original.len()))
}

/// A name in a folder that is held open, so that it stays the same folder.
struct Place {
    folder: OwnedFd,
    name: OsString,
}

impl Place {
    fn new(root: &Path, path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self {
            folder: open_folder(root, folder)?,
            name: name.into(),
        })
    }

    fn status(&self) -> io::Result<FileStat> {
        let flag = AtFlags::AT_SYMLINK_NOFOLLOW;
        Ok(fstatat(&self.folder, &*self.name, flag)?)
    }

    /// Opens a file to read it. Neither a link nor a named pipe that has taken its
    /// place in the meantime leads elsewhere or keeps this waiting.
    fn open(&self) -> io::Result<File> {
        let flags = OFlag::O_RDONLY
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_NOCTTY
            | OFlag::O_CLOEXEC;
        let file = openat(&self.folder, &*self.name, flags, Mode::empty())?;
        Ok(file.into())
    }

    fn read_link(&self) -> io::Result<OsString> {
        Ok(readlinkat(&self.folder, &*self.name)?)
    }

    fn make_folder(&self) -> io::Result<()> {
        match mkdirat(&self.folder, &*self.name, Mode::from_bits_truncate(0o777)) {
            Err(Errno::EEXIST) => {}
            made => return Ok(made?),
        }
        let status = self.status()?;
        if kind(&status) != SFlag::S_IFDIR {
            return Err(io::Error::other("something else is in its place"));
        }
        let mode = Mode::from_bits_truncate(status.st_mode);
        if !mode.contains(Mode::S_IRWXU) {
            let flag = FchmodatFlags::NoFollowSymlink;
            fchmodat(&self.folder, &*self.name, mode | Mode::S_IRWXU, flag)?;
        }
        Ok(())
    }
}

/// Opens a folder below `root`, which itself may be reached through links. No
/// further link is followed.
fn open_folder(root: &Path, folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut opened = open(root, flags, Mode::empty())?;
    for name in folder {
        opened = openat(&opened, name, flags | OFlag::O_NOFOLLOW, Mode::empty())?;
    }
    Ok(opened)
}

/// A file's kind, out of its mode.
fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT
}

/// Copies the first `length` bytes, and leaves a hole for each hole.
fn copy_data(mut source: &File, mut copy: &File, length: u64) -> io::Result<()> {
    let mut done = 0;
    while done < length.cast_signed() {
        let data = match lseek(source, done, Whence::SeekData) {
            Err(Errno::ENXIO) => break, // The rest is a hole.
            data => data?,
        };
        let hole = lseek(source, data, Whence::SeekHole)?;
        let start = SeekFrom::Start(data.cast_unsigned());
        source.seek(start)?;
        copy.seek(start)?;
        // By copy_file_range(2), which clones where that can be, or the next best.
        let count = (hole - data).cast_unsigned();
        io::copy(&mut source.take(count), &mut copy)?;
        done = hole;
    }
    copy.set_len(length)
}

/// A file that is not whole yet. It is gone when this is dropped.
struct Part<'a> {
    file: File,
    folder: &'a OwnedFd,
    /// The name that it has until it is whole, if it must have one.
    name: Option<OsString>,
}

impl<'a> Part<'a> {
    fn new(folder: &'a OwnedFd) -> io::Result<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let (name, file) = match openat(folder, ".", flags | OFlag::O_TMPFILE, mode)
        {
            Ok(file) => (None, file),
            // Whatever else is wrong with the folder, this attempt reports.
            Err(_) => with_free_name(|name| {
                let flags = flags | OFlag::O_CREAT | OFlag::O_EXCL;
                openat(folder, name, flags, mode)
            })
            .map(|(name, file)| (Some(name), file))?,
        };
        Ok(Self {
            file: file.into(),
            folder,
            name,
        })
    }

    /// Gives it its name, in one step even if it replaces another file.
    fn finish(mut self, to: &OsStr) -> io::Result<()> {
        if self.name.is_none() {
            match self.link(to) {
                Err(Errno::EEXIST) => {}
                linked => return Ok(linked?),
            }
            self.name = Some(with_free_name(|name| self.link(name))?.0);
        }
        if let Some(name) = &self.name {
            renameat(self.folder, &**name, self.folder, to)?;
        }
        self.name = None;
        Ok(())
    }

    fn link(&self, name: &OsStr) -> nix::Result<()> {
        let file = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let flag = AtFlags::AT_SYMLINK_FOLLOW;
        linkat(AT_FDCWD, file.as_str(), self.folder, name, flag)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // The error that ended the copy is the one to report.
            unlinkat(self.folder, &**name, UnlinkatFlags::NoRemoveDir).ok();
        }
    }
}

/// Calls `attempt` with random names until it finds one that is free, and returns
/// it.
fn with_free_name<T>(
    attempt: impl Fn(&OsStr) -> nix::Result<T>,
) -> io::Result<(OsString, T)> {
    loop {
        let random = RandomState::new().hash_one(process::id());
        let name = OsString::from(format!(".copy-{random:016x}"));
        match attempt(&name) {
            Err(Errno::EEXIST) => {}
            made => return Ok((name, made?)),
        }
    }
}

fn copy_link(original: &FileStat, from: &Place, to: &Place) -> io::Result<Copied> {
    let target = from.read_link()?;
    let same = to.read_link().is_ok_and(|there| there == target);
    if !same {
        let folder = &to.folder;
        let (name, ()) = with_free_name(|name| symlinkat(&*target, folder, name))?;
        renameat(folder, &*name, folder, &*to.name).inspect_err(|_| {
            // The error that ended the copy is the one to report.
            unlinkat(folder, &*name, UnlinkatFlags::NoRemoveDir).ok();
        })?;
    }
    let accessed = TimeSpec::new(original.st_atime, original.st_atime_nsec);
    let modified = TimeSpec::new(original.st_mtime, original.st_mtime_nsec);
    let flag = UtimensatFlags::NoFollowSymlink;
    utimensat(&to.folder, &*to.name, &accessed, &modified, flag)?;
    Ok(if same {
        Copied::Nothing
    } else {
        Copied::Bytes(0)
    })
}

fn keep_attributes(original: &Metadata, copy: &File) -> io::Result<()> {
    let now = copy.metadata()?;
    let mut mode = original.mode() & 0o7777;
    // Otherwise another user's program would run with the rights of the user who
    // copies it.
    if (now.uid(), now.gid()) != (original.uid(), original.gid()) {
        mode &= !0o6000;
    }
    if now.mode() & 0o7777 != mode {
        copy.set_permissions(Permissions::from_mode(mode))?;
    }
    let times = FileTimes::new()
        .set_accessed(original.accessed()?)
        .set_modified(original.modified()?);
    match copy.set_times(times) {
        // Only the owner may; a copy of another's that is the same stays as it is.
        Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => Ok(()),
        set => set,
    }
}

/// The hash of the whole file, whatever its position.
fn sha512(file: &mut File) -> io::Result<[u8; 64]> {
    file.rewind()?;
    let mut hash = Sha512::new();
    let mut bytes = vec![0; 1 << 16];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&bytes[..count]),
        }
    }
}

/// A folder to try a copy on, among the system's temporary files. It is removed,
/// with all that was put into it, when this is dropped.
///
/// ```
/// use tutorial::{SampleFolder, Tree};
///
/// # fn main() -> std::io::Result<()> {
/// let folder = SampleFolder::new("sample", 10)?;
/// assert_eq!(Tree::of(&folder.path().join("source"))?.files.len(), 10);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SampleFolder(PathBuf);

impl SampleFolder {
    /// Makes a folder of this name and the process id, and in it a folder `source`
    /// with this number of small files.
    ///
    /// # Errors
    ///
    /// What the system refuses, with the path. A folder that exists is not used.
    pub fn new(name: &str, files: usize) -> io::Result<Self> {
        let path = env::temp_dir().join(format!("{name}-{}", process::id()));
        let mut builder = fs::DirBuilder::new();
        builder
            .mode(0o700)
            .create(&path)
            .map_err(with_path(&path))?;
        let folder = Self(path);
        let source = folder.0.join("source");
        fs::create_dir(&source).map_err(with_path(&source))?;
        for n in 0..files {
            let file = source.join(format!("file {n}"));
            fs::write(&file, n.to_string().repeat(n)).map_err(with_path(&file))?;
        }
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SampleFolder {
    fn drop(&mut self) {
        // Somebody may have removed it before.
        fs::remove_dir_all(&self.0).ok();
    }
}
