//! Copying a folder so that every copy is proved.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::io::{self, Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{
    FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink,
};
use std::path::{Path, PathBuf};

use libc::O_TMPFILE;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::linkat;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};

/// What a folder holds: Python's
/// [`os.walk`](https://docs.python.org/3/library/os.html#os.walk), all at once. All
/// paths are relative to the folder.
///
/// ```
/// use tutorial::{Copied, Tree, copy_file};
/// use std::fs;
///
/// # fn main() -> std::io::Result<()> {
/// let folder = std::env::temp_dir().join(format!("tree-{}", std::process::id()));
/// fs::create_dir_all(folder.join("source/empty"))?;
/// fs::write(folder.join("source/file"), "contents")?;
///
/// let tree = Tree::of(&folder.join("source"))?;
/// assert_eq!(tree.files, [std::path::Path::new("file")]);
/// tree.make_folders(&folder.join("source"), &folder.join("copy"))?;
/// let (from, to) = (folder.join("source/file"), folder.join("copy/file"));
/// assert_eq!(copy_file(&from, &to)?, Copied::Bytes(8));
/// assert_eq!(copy_file(&from, &to)?, Copied::Nothing);
/// assert_eq!(fs::read(to)?, b"contents");
/// # fs::remove_dir_all(folder)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Tree {
    /// The folders in it, each behind the one that it lies in.
    pub folders: Vec<PathBuf>,
    /// All that is no folder: files, links, and what cannot be copied.
    pub files: Vec<PathBuf>,
    /// The folders that could not be looked into, and why.
    pub closed: Vec<(PathBuf, io::Error)>,
}

impl Tree {
    /// Looks through a folder. Links to folders are not followed.
    ///
    /// # Errors
    ///
    /// The folder itself cannot be read. What cannot be read in it is in
    /// [`closed`](Self::closed).
    pub fn of(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.look_into(root, PathBuf::new())?;
        let mut next = 0;
        while let Some(folder) = tree.folders.get(next).cloned() {
            if let Err(error) = tree.look_into(root, folder.clone()) {
                tree.closed.push((folder, error));
            }
            next += 1;
        }
        Ok(tree)
    }

    fn look_into(&mut self, root: &Path, folder: PathBuf) -> io::Result<()> {
        let place = root.join(&folder);
        for entry in fs::read_dir(&place).map_err(named(&place))? {
            let entry = entry.map_err(named(&place))?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.folders.push(path);
            } else {
                self.files.push(path);
            }
        }
        Ok(())
    }

    /// Makes all folders in the copy, writable for now.
    ///
    /// # Errors
    ///
    /// The first that cannot be made. The copy must not lie in the folder itself.
    pub fn make_folders(&self, from: &Path, to: &Path) -> io::Result<()> {
        let place = std::path::absolute(to)?;
        let there = place
            .ancestors()
            .find_map(|folder| folder.canonicalize().ok());
        if there.is_some_and(|there| {
            from.canonicalize()
                .is_ok_and(|from| there.starts_with(from))
        }) {
            return Err(io::Error::other("a folder cannot be copied into itself"));
        }
        fs::create_dir_all(to).map_err(named(to))?;
        for folder in &self.folders {
            let folder = to.join(folder);
            make_folder(&folder).map_err(named(&folder))?;
        }
        Ok(())
    }

    /// Gives the copy's folders the permissions and times of their originals: when
    /// nothing is written into them any more.
    ///
    /// # Errors
    ///
    /// The first that the system refuses.
    pub fn finish_folders(&self, from: &Path, to: &Path) -> io::Result<()> {
        let itself = PathBuf::new();
        for folder in self.folders.iter().rev().chain([&itself]) {
            let (from, to) = (from.join(folder), to.join(folder));
            let original = fs::metadata(&from).map_err(named(&from))?;
            let copy = File::open(&to).map_err(named(&to))?;
            keep_attributes(&original, &copy).map_err(named(&to))?;
        }
        Ok(())
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A link to a folder will do.
            let there = fs::metadata(folder)?;
            let mode = there.mode() & 0o7777;
            if !there.is_dir() {
                return Err(io::Error::other("something else is in its place"));
            }
            if mode & 0o700 == 0o700 {
                return Ok(());
            }
            fs::set_permissions(folder, Permissions::from_mode(mode | 0o700))
        }
        made => made,
    }
}

/// For `map_err`: the error with the path that it is about.
fn named(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What [`copy_file`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Copied {
    /// So many bytes were copied.
    Bytes(u64),
    /// The copy was there already, and is the same.
    Nothing,
}

/// Copies a file or a symbolic link, with its permissions and times, and proves the copy
/// by the SHA-512 of both: Python's
/// [`shutil.copy2`](https://docs.python.org/3/library/shutil.html#shutil.copy2) with
/// `follow_symlinks=False`, and the proof.
///
/// The system copies, without the bytes passing through this process, and shares them
/// between the two files where the file system can. The copy has its name only when it
/// is whole. Until then it has none, and is gone if this process is killed. On a file
/// system that knows no files without a name (a network's, mostly) it is `.NAME.part`
/// instead, which is left then and which the next copy replaces.
///
/// # Errors
///
/// What the system refuses; a copy that is not the same; a thing that is neither a file
/// nor a link.
pub fn copy_file(from: &Path, to: &Path) -> io::Result<Copied> {
    let original = fs::symlink_metadata(from)?;
    if original.is_symlink() {
        return copy_link(&original, from, to);
    }
    if !original.is_file() {
        let kind = original.file_type();
        return Err(io::Error::other(match kind {
            kind if kind.is_fifo() => "it is a named pipe",
            kind if kind.is_socket() => "it is a socket",
            _ => "it is neither a file nor a link",
        }));
    }
    let mut source = File::open(from)?;
    let mut hash = None;
    if let Ok(copy) = fs::symlink_metadata(to)
        && copy.is_file()
        && copy.len() == original.len()
        && let Ok(mut copy) = File::open(to)
    {
        let of_source = sha512(&mut source)?;
        if sha512(&mut copy)? == of_source {
            keep_attributes(&original, &copy)?;
            return Ok(Copied::Nothing);
        }
        hash = Some(of_source);
    }

    let mut copy = Part::new(to)?;
    source.rewind()?;
    // By copy_file_range(2), which clones where that can be, or the next best.
    let bytes = io::copy(&mut source, &mut copy.file)?;
    let hash = match hash {
        Some(hash) => hash,
        None => sha512(&mut source)?,
    };
    if sha512(&mut copy.file)? != hash {
        return Err(io::Error::other("the SHA-512 of the copy is another"));
    }
    keep_attributes(&original, &copy.file)?;
    copy.finish(to)?;
    Ok(Copied::Bytes(bytes))
}

/// A file that is not whole yet. It is gone when this is dropped.
struct Part {
    file: File,
    /// Its name until it is whole, if it has to have one.
    name: PathBuf,
    is_named: bool,
}

impl Part {
    fn new(to: &Path) -> io::Result<Self> {
        let name = part_of(to);
        let mut options = File::options();
        options.read(true).write(true).mode(0o600);
        let folder = name.with_file_name("");
        let folder = if folder == Path::new("") {
            Path::new(".")
        } else {
            &folder
        };
        let unnamed = options.clone().custom_flags(O_TMPFILE).open(folder);
        let is_named = unnamed.is_err();
        // What else may be wrong with the folder is told by the second attempt.
        let file = unnamed.or_else(|_| options.create_new(true).open(&name))?;
        Ok(Self {
            file,
            name,
            is_named,
        })
    }

    /// Gives it its name, in one step even where it takes another's place.
    fn finish(mut self, to: &Path) -> io::Result<()> {
        if !self.is_named {
            match self.link(to) {
                Err(Errno::EEXIST) => self.link(&self.name)?,
                linked => return Ok(linked?),
            }
            self.is_named = true;
        }
        fs::rename(&self.name, to)?;
        self.is_named = false;
        Ok(())
    }

    fn link(&self, name: &Path) -> nix::Result<()> {
        let file = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let flag = AtFlags::AT_SYMLINK_FOLLOW;
        linkat(AT_FDCWD, file.as_str(), AT_FDCWD, name, flag)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.is_named {
            // The reason it failed for is the better one to tell.
            let _left = fs::remove_file(&self.name);
        }
    }
}

fn copy_link(original: &Metadata, from: &Path, to: &Path) -> io::Result<Copied> {
    let target = fs::read_link(from)?;
    let same = fs::read_link(to).is_ok_and(|there| there == target);
    if !same {
        let part = part_of(to);
        symlink(target, &part)?;
        fs::rename(&part, to).inspect_err(|_| {
            // The reason it failed for is the better one to tell.
            let _left = fs::remove_file(&part);
        })?;
    }
    let accessed = TimeSpec::new(original.atime(), original.atime_nsec());
    let modified = TimeSpec::new(original.mtime(), original.mtime_nsec());
    let flag = UtimensatFlags::NoFollowSymlink;
    utimensat(AT_FDCWD, to, &accessed, &modified, flag)?;
    Ok(if same {
        Copied::Nothing
    } else {
        Copied::Bytes(0)
    })
}

/// The name of what is not whole yet. What an earlier copy has left there goes.
fn part_of(to: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(".part");
    let part = to.with_file_name(name);
    // Mostly there is nothing; what cannot be removed will be in the way, and told.
    let _nothing = fs::remove_file(&part);
    part
}

fn keep_attributes(original: &Metadata, copy: &File) -> io::Result<()> {
    let mode = original.mode() & 0o7777;
    if copy.metadata()?.mode() & 0o7777 != mode {
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

/// The hash of the whole file, wherever it stands.
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
