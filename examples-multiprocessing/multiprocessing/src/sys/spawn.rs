//! A fresh copy of this program that runs one function of it.
//!
//! The parent writes an order into a file in memory: the function, by its place in the
//! program, its argument, and the numbers of the descriptors that belong to the argument.
//! The number of that file reaches the child in the environment.
#![allow(
    unsafe_code,
    reason = "a function is found by its address, and descriptors by their numbers"
)]

use std::ffi::{CString, OsStr, c_void};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::{ExitCode, Termination};
use std::sync::OnceLock;
use std::{env, fs, mem, ops, ptr};

use nix::errno::Errno;
use nix::fcntl::{FdFlag, OFlag};
use nix::libc;
use nix::spawn::{
    PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, getpid, getppid, pipe2};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fork::{self, nothing};
use super::{child, exit};
use crate::codec::{self, DecodeError};
use crate::handover;

/// The environment variable that holds the number of a spawned child's order.
const ORDER: &str = "MULTIPROCESSING_ORDER";

/// A function of this program: how far from the program's beginning its code is, which
/// is the same in every process that runs the program. Made only by [`of`](Self::of),
/// or in a child from what `of` gave in its parent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[expect(
    clippy::unsafe_derive_deserialize,
    reason = "only an order of the same program is deserialised"
)]
pub(crate) struct Function(usize);

/// What a function is called by: its serialised argument and the descriptors with it.
type Entry = fn(&[u8], Vec<OwnedFd>) -> Result<ExitCode, DecodeError>;

impl Function {
    /// The place of a function that has no state: a `fn` item, or a closure that
    /// captures nothing. `None` if its code is not in the program's own file, but in a
    /// library that may lie elsewhere in the next process.
    pub(crate) fn of<F, A, R>(_function: &F) -> Option<Self>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: DeserializeOwned,
        R: Termination,
    {
        fn entry<F, A, R>(
            argument: &[u8],
            fds: Vec<OwnedFd>,
        ) -> Result<ExitCode, DecodeError>
        where
            F: Fn(A) -> R + Copy + Send + 'static,
            A: DeserializeOwned,
            R: Termination,
        {
            // SAFETY: an `F` has no bytes that could be wrong (`of` has seen to that),
            // and there is one: `of` was given it, and it may be copied and sent.
            let function: F = unsafe { ptr::NonNull::dangling().read() };
            let argument = handover::receive(fds, || codec::decode_once(argument))?;
            Ok(function(argument).report())
        }
        const {
            assert!(
                size_of::<F>() == 0,
                "a spawned process can only run a function that captures nothing"
            );
        }
        let entry: Entry = entry::<F, A, R>;
        let program = Program::this();
        let place = entry as usize;
        (program.code.contains(&place)).then(|| Self(place - program.base))
    }

    fn entry(self) -> Option<Entry> {
        let program = Program::this();
        let place = program.base.checked_add(self.0)?;
        if !program.code.contains(&place) {
            return None;
        }
        let place = ptr::with_exposed_provenance::<c_void>(place);
        // SAFETY: `of` made the number from an `Entry`, in a process that ran the same
        // file: `Order::receive` has compared the two.
        Some(unsafe { mem::transmute::<*const c_void, Entry>(place) })
    }

    /// Calls it, in a child.
    pub(crate) fn call(
        self,
        argument: &[u8],
        fds: Vec<OwnedFd>,
    ) -> io::Result<ExitCode> {
        let entry = self.entry();
        let entry =
            entry.ok_or_else(|| io::Error::other("it does not name a function"))?;
        entry(argument, fds).map_err(io::Error::other)
    }
}

/// The addresses of the program's own file in this process's memory.
pub(super) struct Program {
    pub(super) base: usize,
    pub(super) code: ops::Range<usize>,
}

impl Program {
    /// It never moves, and a fork's lies where its parent's does.
    pub(super) fn this() -> &'static Self {
        static THIS: OnceLock<Program> = OnceLock::new();
        THIS.get_or_init(Self::find)
    }

    fn find() -> Self {
        unsafe extern "C" fn first(
            info: *mut libc::dl_phdr_info,
            _size: usize,
            found: *mut c_void,
        ) -> libc::c_int {
            // SAFETY: the loader hands out a description that is good for this call.
            let info = unsafe { &*info };
            // SAFETY: the headers are part of the mapped program, as many as it says.
            let headers = unsafe {
                std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into())
            };
            // SAFETY: `find` below hands in its own `Program`, and waits.
            let found = unsafe { &mut *found.cast::<Program>() };
            found.base = info.dlpi_addr as usize;
            let code = headers.iter().find(|header| {
                header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0
            });
            if let Some(code) = code {
                let start = found.base + code.p_vaddr as usize;
                found.code = start..start + code.p_memsz as usize;
            }
            1 // The program is the first of all; its libraries follow.
        }
        let mut found = Self {
            base: 0,
            code: 0..0,
        };
        let place = (&raw mut found).cast();
        // SAFETY: `first` is given the place that it expects, for as long as the call.
        unsafe { libc::dl_iterate_phdr(Some(first), place) };
        found
    }
}

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The process that gave the order, which is for its children alone.
    parent: i32,
    /// The program's file, as device and inode.
    program: (u64, u64),
    pub(crate) function: Function,
    /// The function's argument, serialised.
    pub(crate) argument: Vec<u8>,
    /// The child's name and the like, serialised by the caller.
    pub(crate) identity: Vec<u8>,
    fds: Vec<RawFd>,
    /// The table of the processes that are related.
    registry: RawFd,
    /// Reads the end of its parent.
    lifeline: RawFd,
}

/// An order that arrived.
pub(crate) struct Received {
    pub(crate) order: Order,
    /// The descriptors that belong to the argument.
    pub(crate) fds: Vec<OwnedFd>,
    /// The parent's registry of processes, to be joined before anything else.
    pub(crate) registry: OwnedFd,
}

/// A child that was started.
pub(crate) struct Spawned {
    pub(crate) pid: Pid,
    /// The child is killed when this is closed. Only its parent may have it.
    pub(crate) lifeline: OwnedFd,
}

/// Starts a fresh copy of this program, which finds the order by [`receive`] and these
/// descriptors with it.
///
/// Besides those it has standard output and error, and what is not closed on exec (all
/// that Rust opens is). No signal is blocked in it, and it ends with this process, by
/// SIGKILL.
pub(crate) fn spawn(
    function: Function,
    argument: Vec<u8>,
    fds: &[OwnedFd],
    identity: Vec<u8>,
    registry: BorrowedFd<'_>,
) -> io::Result<Spawned> {
    let (lifeline_of_child, lifeline) = pipe2(OFlag::O_CLOEXEC)?;
    let order = Order {
        parent: getpid().as_raw(),
        program: program()?,
        function,
        argument,
        identity,
        fds: fds.iter().map(AsRawFd::as_raw_fd).collect(),
        registry: registry.as_raw_fd(),
        lifeline: lifeline_of_child.as_raw_fd(),
    };
    let order = codec::encode(&order).map_err(io::Error::other)?;
    let order = in_memory(&order)?;

    let mut actions = PosixSpawnFileActions::init()?;
    actions.add_dup2(nothing()?.as_raw_fd(), 0)?;
    // To copy a descriptor to its own number leaves it open across the exec, in the
    // child alone: no other child, of another thread, can inherit it by chance.
    let mut leave =
        |fd: BorrowedFd<'_>| actions.add_dup2(fd.as_raw_fd(), fd.as_raw_fd());
    leave(order.as_fd())?;
    leave(lifeline_of_child.as_fd())?;
    leave(registry)?;
    fds.iter().try_for_each(|fd| leave(fd.as_fd()))?;

    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK)?;
    attributes.set_sigmask(&SigSet::empty())?;

    let arguments = env::args_os().map(|argument| c_string(argument.into_vec()));
    let arguments = arguments.collect::<io::Result<Vec<_>>>()?;
    let variables = env::vars_os().filter(|(name, _)| name != ORDER);
    let variables =
        variables.chain([(ORDER.into(), order.as_raw_fd().to_string().into())]);
    let variables = variables.map(|(name, value)| {
        c_string([name.as_bytes(), b"=", value.as_bytes()].concat())
    });
    let variables = variables.collect::<io::Result<Vec<_>>>()?;

    // The file that this process runs, even if another has taken its name.
    let this = OsStr::new("/proc/self/exe");
    let pid = posix_spawn(this, &actions, &attributes, &arguments, &variables)?;
    Ok(Spawned { pid, lifeline })
}

fn c_string(bytes: Vec<u8>) -> io::Result<CString> {
    Ok(CString::new(bytes)?)
}

/// Which file this process runs. No other can be the same while it does.
fn program() -> io::Result<(u64, u64)> {
    let file = fs::metadata("/proc/self/exe")?;
    Ok((file.dev(), file.ino()))
}

/// A file in memory that holds these bytes.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("order", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// In a spawned child, once: its order, and the descriptors that came with it. `None`
/// in any other process. From here on the child is bound to its parent's life.
///
/// # Errors
///
/// The process was started as a child, and its order does not hold.
pub(crate) fn receive() -> io::Result<Option<Received>> {
    let Some(number) = env::var_os(ORDER) else {
        return Ok(None);
    };
    // A program that runs with another user's rights takes no orders from its caller.
    // SAFETY: reads a number that the system gave at the start.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return Ok(None);
    }
    // The child's own children must not find it. If there are threads already, which may
    // read the environment, it has to stay.
    if matches!(fork::other_threads(), Ok(0)) {
        // SAFETY: there is no other thread.
        unsafe { env::remove_var(ORDER) };
    }
    let refused = || io::Error::other("it is not addressed to this process");
    let number = number.to_str().and_then(|number| number.parse().ok());
    let file = File::from(owned(number.ok_or_else(refused)?)?);
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    file.read_exact_at(&mut bytes, 0)?;
    let order: Order = codec::decode(&bytes).map_err(io::Error::other)?;
    if order.program != program()? {
        return Err(refused());
    }
    bind(owned(order.lifeline)?)?;
    // The parent may have ended while it started another child, which holds the lifeline
    // of this one until it has its own program.
    // A parent in another namespace of process ids is 0 here: then only the lifeline
    // counts.
    let parent = getppid().as_raw();
    if order.parent != parent && parent != 0 {
        exit::exit_now(1);
    }
    let registry = owned(order.registry)?;
    let fds = order
        .fds
        .iter()
        .map(|&fd| owned(fd))
        .collect::<Result<_, _>>()?;
    Ok(Some(Received {
        order,
        fds,
        registry,
    }))
}

/// Takes a descriptor that came across the exec, and has it closed at the next exec.
fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers, and touches no memory. The answer says
    // whether this is an open descriptor at all.
    let kept = unsafe { libc::fcntl(fd, libc::F_SETFD, FdFlag::FD_CLOEXEC.bits()) };
    Errno::result(kept)?;
    // SAFETY: it is open, and the parent left it open for this process to own: the
    // program has opened nothing by itself yet that could have the number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has the system kill this process as soon as its parent's end of the lifeline is
/// closed; ends it if it is closed already. Unlike the request for a signal at the
/// parent's death, this outlives the thread that spawned, and a change of user.
fn bind(lifeline: OwnedFd) -> io::Result<()> {
    /// Sets the signal that reports a descriptor's event. The libc crate lacks it.
    const F_SETSIG: libc::c_int = 10;
    let fd = lifeline.as_raw_fd();
    // SAFETY: takes numbers, and touches no memory; so do the next two.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_SETOWN, getpid().as_raw()) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGKILL) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_ASYNC) })?;
    // The end of a parent that ended before that is not reported.
    if child::readable(&lifeline, Some(std::time::Instant::now()))? {
        exit::exit_now(1);
    }
    // Open for as long as this process lives.
    mem::forget(lifeline);
    Ok(())
}
