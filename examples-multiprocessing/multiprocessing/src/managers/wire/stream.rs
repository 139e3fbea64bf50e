//! The two kinds of stream between a client and a server, and what a server accepts them
//! with.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, Ipv4Addr, Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, connect, listen,
    setsockopt, socket, sockopt,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::managers::Address;
use crate::sys::watcher::FileWatcher;

/// The bytes of a connection.
#[derive(Debug)]
pub(in crate::managers) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// # Errors
    ///
    /// The system's error if no server accepts the connection.
    pub(in crate::managers) fn connect(
        address: &Address,
        timeout: Duration,
    ) -> io::Result<Self> {
        match address {
            Address::Tcp { host, port } => {
                let host = if host.is_empty() { "127.0.0.1" } else { host };
                let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
                for candidate in ipv4(host, *port)? {
                    match TcpStream::connect_timeout(&candidate, timeout) {
                        Ok(stream) => return Self::tcp(stream),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Address::Unix(path) => connect_unix(&UnixAddr::new(path)?, timeout),
            Address::Abstract(name) => {
                connect_unix(&UnixAddr::new_abstract(name)?, timeout)
            }
        }
    }

    /// Small messages are sent at once, and a peer whose machine has vanished is noticed
    /// after some minutes even if nothing is written.
    fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        setsockopt(&stream, sockopt::TcpKeepIdle, &60)?;
        setsockopt(&stream, sockopt::TcpKeepInterval, &20)?;
        Ok(Self::Tcp(stream))
    }

    /// Until when the next read and write may wait.
    pub(in crate::managers) fn set_deadline(
        &self,
        deadline: Option<Instant>,
    ) -> io::Result<()> {
        let left = deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(ErrorKind::TimedOut.into());
        }
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(left)?;
                stream.set_write_timeout(left)
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(left)?;
                stream.set_write_timeout(left)
            }
        }
    }

    /// Ends the connection in this direction or both, for every thread that uses it.
    pub(in crate::managers) fn shut_down(&self, how: Shutdown) {
        let ended = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
        // It fails if the connection has already ended.
        ended.ok();
    }

    /// Whether the other side has ended the connection, or died.
    pub(in crate::managers) fn is_closed(&self) -> bool {
        let mut fd = [PollFd::new(self, PollFlags::RDHUP)];
        let at_once = Timespec::default();
        let closed = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        poll(&mut fd, Some(&at_once)).is_ok() && fd[0].revents().intersects(closed)
    }
}

/// Connects with a time-out, which std's function lacks: it would wait for ever for a
/// stopped server whose queue of connections is full.
fn connect_unix(address: &UnixAddr, timeout: Duration) -> io::Result<Stream> {
    let (family, kind) = (AddressFamily::Unix, SockType::Stream);
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let deadline = Instant::now() + timeout;
    let stream = Stream::Unix(socket.into());
    loop {
        stream.set_deadline(Some(deadline))?;
        match connect(stream.as_fd().as_raw_fd(), address) {
            // The server has not made room in time.
            Err(Errno::EAGAIN) => return Err(ErrorKind::TimedOut.into()),
            Err(Errno::EINTR) => {}
            connected => {
                connected?;
                return Ok(stream);
            }
        }
    }
}

/// The IPv4 addresses of a host. Python's managers use no others, so a server that
/// listened at an IPv6 address of the same name would not be found by them.
fn ipv4(host: &str, port: u16) -> io::Result<Vec<net::SocketAddr>> {
    let all = (host, port).to_socket_addrs()?;
    let ipv4: Vec<_> = all.filter(net::SocketAddr::is_ipv4).collect();
    if ipv4.is_empty() {
        let kind = ErrorKind::AddrNotAvailable;
        return Err(io::Error::new(kind, "it has no IPv4 address"));
    }
    Ok(ipv4)
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).read(buffer),
            Stream::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).write(bytes),
            Stream::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a server accepts connections with. Dropping it removes its socket file.
#[derive(Debug)]
pub(in crate::managers) struct Listener {
    socket: Socket,
    address: Address,
    file: Option<SocketFile>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// # Errors
    ///
    /// The system's error, above all that the address is in use.
    pub(in crate::managers) fn bind(address: &Address) -> io::Result<Self> {
        let mut file = None;
        let (socket, address) = match address {
            Address::Tcp { host, port } => {
                let any = Ipv4Addr::UNSPECIFIED.to_string();
                let host = if host.is_empty() { &any } else { host };
                let socket = TcpListener::bind(&ipv4(host, *port)?[..])?;
                let bound = socket.local_addr()?;
                let address = (bound.ip().to_string().as_str(), bound.port()).into();
                (Socket::Tcp(socket), address)
            }
            Address::Unix(path) => {
                let socket = bind_file(path)?;
                file = Some(SocketFile::new(path)?);
                (Socket::Unix(socket), address.clone())
            }
            Address::Abstract(name) => {
                let name = SocketAddr::from_abstract_name(name)?;
                let socket = UnixListener::bind_addr(&name)?;
                (Socket::Unix(socket), address.clone())
            }
        };
        let listener = Self {
            socket,
            address,
            file,
        };
        // The server polls before it accepts, and the client may have gone by then.
        match &listener.socket {
            Socket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                // A client that finds the queue full loses a second; std's is short.
                listen(socket, Backlog::MAXALLOWABLE)?;
            }
            Socket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                listen(socket, Backlog::MAXALLOWABLE)?;
            }
        }
        Ok(listener)
    }

    /// The address with the port that the system picked.
    pub(in crate::managers) fn address(&self) -> &Address {
        &self.address
    }

    pub(in crate::managers) fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(false)?;
                Stream::tcp(stream)
            }
            Socket::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(false)?;
                Ok(Stream::Unix(stream))
            }
        }
    }

    /// The socket file, for an owner that outlives the listener and removes it then.
    pub(in crate::managers) fn take_file(&mut self) -> Option<SocketFile> {
        self.file.take()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

/// Replaces a socket file that a killed server left behind, but not one that a server
/// still listens at.
fn bind_file(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_stale(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

fn is_stale(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket
        && Stream::connect(&path.into(), Duration::from_secs(1))
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// A socket file, removed with this value by the process that made it.
#[derive(Debug)]
pub(in crate::managers) struct SocketFile {
    path: PathBuf,
    /// Open on the file, so that no other gets its number: by now another server's file
    /// may have its name.
    file: File,
    /// A fork's copy of this value leaves the file alone.
    owner: u32,
    /// Removes it if the owner is killed.
    watcher: Option<FileWatcher>,
}

impl SocketFile {
    /// Has the file removed even if this process is killed. Only for a process with one
    /// thread: it forks.
    pub(in crate::managers) fn watch(&mut self) -> io::Result<()> {
        let path = std::path::absolute(&self.path)?;
        let path = CString::new(path.into_os_string().into_vec())?;
        self.watcher = Some(FileWatcher::start(&path, &self.file)?);
        Ok(())
    }

    fn new(path: &Path) -> io::Result<Self> {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        Ok(Self {
            path: path.into(),
            file,
            owner: std::process::id(),
            watcher: None,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let number = |file: io::Result<fs::Metadata>| {
            file.map(|file| (file.dev(), file.ino())).ok()
        };
        let is_ours = self.owner == std::process::id()
            && number(fs::symlink_metadata(&self.path))
                == number(self.file.metadata());
        if is_ours {
            // It fails if it has been removed in between.
            fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connecting_to_a_server_that_never_accepts_times_out() {
        let address = Address::any();
        let Address::Abstract(name) = &address else {
            unreachable!("it is an abstract one");
        };
        let name = SocketAddr::from_abstract_name(name).unwrap();
        let stopped = UnixListener::bind_addr(&name).unwrap();
        listen(&stopped, Backlog::new(0).unwrap()).unwrap();
        let patience = Duration::from_millis(50);
        let mut waiting = Vec::new();
        let error = loop {
            match Stream::connect(&address, patience) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 100, "the queue has no end");
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_host_name_stands_for_its_ipv4_address() {
        let listener = Listener::bind(&("localhost", 0).into()).unwrap();
        let Address::Tcp { host, .. } = listener.address() else {
            unreachable!("it is a port");
        };
        assert_eq!(host, "127.0.0.1");
        let error = Listener::bind(&("::1", 0).into()).unwrap_err();
        assert_eq!(error.to_string(), "it has no IPv4 address");
    }
}
