//! A fresh copy of this program that runs one function of it.
//!
//! The parent writes an order into a file in memory: the function, by its place in the
//! program, its argument, and the numbers of the descriptors that belong to the argument.
//! The number of that file reaches the child in the environment, and so does that of its
//! lifeline: a pipe whose other end the parent has, until it ends. A child that can neither
//! run its function nor say so on its standard error leaves the reason in that pipe.
#![allow(
    unsafe_code,
    reason = "a function is found by its address, and descriptors by their numbers"
)]

use std::ffi::{CString, OsStr, c_void};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::process::{ExitCode, Termination};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::{env, fs, mem, ops, ptr};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, SealFlag, fcntl};
use nix::libc;
use nix::spawn::{
    PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, getpid, getppid, pipe2};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::descriptor::above_standard;
use super::fork::{self, nothing};
use super::{child, exit};
use crate::codec::{self, DecodeError};
use crate::handover::{self, Handles};

/// The environment variable that holds the number of a spawned child's order, its parent's
/// process id and the number of its lifeline.
const ORDER: &str = "MULTIPROCESSING_ORDER";

/// A function of this program that can be spawned: how far from the program's beginning
/// its [`Registration`] is, which is the same in every process that runs the program.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[expect(
    clippy::unsafe_derive_deserialize,
    reason = "`entry` finds out whether the number is that of a registration"
)]
pub(crate) struct Function(usize);

/// What a function is called by: its serialised argument and the handles in it.
type Entry = fn(&[u8], Handles) -> Result<ExitCode, DecodeError>;

/// Stands in the program's constants for every function that the program can spawn, and
/// so for no other place of its code: a forged order can name one of these or nothing.
#[repr(C)]
struct Registration {
    before: u64,
    entry: Entry,
    after: u64,
}

/// What a registration begins and ends with. No other constant of the program does both:
/// the two stand there apart.
const BEFORE: u64 = 0x8d1f_3c6a_70b2_95e4;
const AFTER: u64 = 0x2b7e_94d0_c153_f86a;

/// The registration of a function of this type.
struct Registered<F, A, R>(PhantomData<(F, A, R)>);

impl<F, A, R> Registered<F, A, R>
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: DeserializeOwned,
    R: Termination,
{
    const REGISTRATION: &'static Registration = &Registration {
        before: BEFORE,
        entry: Self::entry,
        after: AFTER,
    };

    fn entry(argument: &[u8], handles: Handles) -> Result<ExitCode, DecodeError> {
        const {
            assert!(
                size_of::<F>() == 0,
                "a spawned process can only run a function that captures nothing"
            );
        }
        // SAFETY: an `F` has no bytes that could be wrong, as the assertion has seen to,
        // and there is one: `of` was given it, and it may be copied and sent.
        let function: F = unsafe { ptr::NonNull::dangling().read() };
        let argument = handover::receive(handles, || codec::decode(argument))?;
        Ok(function(argument).report())
    }
}

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
        let registration: *const Registration = Registered::<F, A, R>::REGISTRATION;
        let program = Program::this();
        let place = registration.expose_provenance();
        let function = Self(place.checked_sub(program.base)?);
        function.entry().is_some().then_some(function)
    }

    fn entry(self) -> Option<Entry> {
        let program = Program::this();
        let start = program.base.checked_add(self.0)?;
        let end = start.checked_add(size_of::<Registration>())?;
        let constants =
            |range: &&ops::Range<usize>| range.start <= start && end <= range.end;
        program.constants.iter().find(constants)?;
        let place = ptr::with_exposed_provenance::<Registration>(start);
        if !place.is_aligned() {
            return None;
        }
        let before = ptr::with_exposed_provenance::<u64>(start);
        // SAFETY: aligned, and within memory of the program that is mapped for reading
        // and never changes; any bytes make a number. So with the next.
        let before = unsafe { before.read() };
        let after = start + mem::offset_of!(Registration, after);
        let after = ptr::with_exposed_provenance::<u64>(after);
        // SAFETY: as above.
        let after = unsafe { after.read() };
        if (before, after) != (BEFORE, AFTER) {
            return None;
        }
        // SAFETY: only a registration begins and ends so.
        Some(unsafe { (*place).entry })
    }

    /// Calls it, in a child.
    pub(crate) fn call(
        self,
        argument: &[u8],
        handles: Handles,
    ) -> io::Result<ExitCode> {
        let entry = self.entry();
        let entry =
            entry.ok_or_else(|| io::Error::other("it does not name a function"))?;
        entry(argument, handles).map_err(io::Error::other)
    }
}

/// The addresses of the program's own file in this process's memory.
pub(super) struct Program {
    pub(super) base: usize,
    pub(super) code: ops::Range<usize>,
    /// What never changes once the loader has set it up.
    constants: Vec<ops::Range<usize>>,
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
            for header in headers {
                let start = found.base + header.p_vaddr as usize;
                let range = start..start + header.p_memsz as usize;
                let permissions = libc::PF_R | libc::PF_W | libc::PF_X;
                match (header.p_type, header.p_flags & permissions) {
                    (libc::PT_LOAD, flags) if flags & libc::PF_X != 0 => {
                        found.code = range;
                    }
                    (libc::PT_LOAD, libc::PF_R) | (libc::PT_GNU_RELRO, _) => {
                        found.constants.push(range);
                    }
                    _ => {}
                }
            }
            1 // The program is the first of all; its libraries follow.
        }
        let mut found = Self {
            base: 0,
            code: 0..0,
            constants: Vec::new(),
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
    /// The handles in the argument.
    entries: Vec<handover::Entry>,
    /// The table of the processes that are related.
    registry: RawFd,
}

/// An order that arrived.
pub(crate) struct Received {
    pub(crate) order: Order,
    /// The handles in the argument.
    pub(crate) handles: Handles,
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
    handles: Handles,
    identity: Vec<u8>,
    registry: BorrowedFd<'_>,
) -> io::Result<Spawned> {
    let (lifeline_of_child, lifeline) = pipe2(OFlag::O_CLOEXEC)?;
    let Handles { fds, entries } = handles;
    let lifeline_of_child = above_standard(lifeline_of_child)?;
    let lifeline = above_standard(lifeline)?;
    let parent = getpid().as_raw();
    let order = Order {
        parent,
        program: program()?,
        function,
        argument,
        identity,
        fds: fds.iter().map(AsRawFd::as_raw_fd).collect(),
        entries,
        registry: registry.as_raw_fd(),
    };
    let order = codec::encode(&order).map_err(io::Error::other)?;
    let order = in_memory(&order)?;

    let mut actions = PosixSpawnFileActions::init()?;
    let nothing = nothing()?;
    actions.add_dup2(nothing.as_raw_fd(), 0)?;
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
    let addressed = format!(
        "{}:{parent}:{}",
        order.as_raw_fd(),
        lifeline_of_child.as_raw_fd()
    );
    let variables = variables.chain([(ORDER.into(), addressed.into())]);
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
    static PROGRAM: OnceLock<(u64, u64)> = OnceLock::new();
    if let Some(&known) = PROGRAM.get() {
        return Ok(known);
    }
    let file = fs::metadata("/proc/self/exe").map_err(|error| {
        io::Error::other(format!(
            "the program's own file cannot be found ({error}): mount /proc"
        ))
    })?;
    Ok(*PROGRAM.get_or_init(|| (file.dev(), file.ino())))
}

/// The most bytes that an order may have: 1 GiB, and the argument is most of it.
const LONGEST_ORDER: usize = 1 << 30;

/// What nobody can do to an order once it is written: change it.
const ORDER_SEALS: SealFlag = SealFlag::F_SEAL_SEAL
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);

/// A sealed file in memory that holds these bytes.
fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    if bytes.len() > LONGEST_ORDER {
        return Err(io::Error::other(
            "the argument takes more than 1 GiB: send it through a queue or pipe",
        ));
    }
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(above_standard(memfd_create("order", flags)?)?);
    file.write_all(bytes)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(ORDER_SEALS))?;
    Ok(file.into())
}

/// The bytes of the order behind this number; `None` if there is no order. A file that
/// `in_memory` did not make is not taken, nor read.
fn order_of(number: RawFd) -> Option<Vec<u8>> {
    // SAFETY: takes numbers, and touches no memory.
    let seals = unsafe { libc::fcntl(number, libc::F_GET_SEALS) };
    if seals != ORDER_SEALS.bits() {
        return None;
    }
    let file = File::from(owned(number).ok()?);
    let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
    if length > LONGEST_ORDER {
        return None;
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Some(bytes)
}

/// Whether this process runs with other rights than its caller's (set-user-id, file
/// capabilities). Such a program takes no orders from its environment, which its caller
/// has written, and so it cannot be spawned.
pub(crate) fn has_foreign_rights() -> bool {
    // SAFETY: reads a number that the system gave at the start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// In a spawned child: its order, and the descriptors that came with it. `None` in any
/// other process, and the second time. From here on the child is bound to its parent's
/// life.
///
/// # Errors
///
/// The process was started as a child, and its order does not hold.
pub(crate) fn receive() -> io::Result<Option<Received>> {
    static RECEIVED: AtomicBool = AtomicBool::new(false);
    // Its descriptors may be others' by now.
    if RECEIVED.swap(true, Ordering::Relaxed) {
        return Ok(None);
    }
    let Some(addressed) = env::var_os(ORDER) else {
        return Ok(None);
    };
    if has_foreign_rights() {
        return Ok(None);
    }
    // The child's own children must not find it. If there are threads already, which may
    // read the environment, it has to stay.
    if matches!(fork::other_threads(), Ok(0)) {
        // SAFETY: there is no other thread.
        unsafe { env::remove_var(ORDER) };
    }
    let refused = || io::Error::other("its order is not addressed to it");
    let numbers: Option<Vec<i32>> = addressed.to_str().and_then(|addressed| {
        let numbers = addressed.split(':').map(|number| number.parse().ok());
        numbers.collect()
    });
    let Some(&[number, parent, lifeline]) = numbers.as_deref() else {
        return Err(refused());
    };
    LIFELINE.store(lifeline, Ordering::Relaxed);
    let Some(bytes) = order_of(number) else {
        // A spawned child may have left the variable to a program that it started, which
        // has another parent and no order.
        return if is_parent(parent) {
            Err(refused())
        } else {
            Ok(None)
        };
    };
    let order: Order = codec::decode(&bytes).map_err(io::Error::other)?;
    if order.program != program()? {
        return Err(refused());
    }
    bind(owned(lifeline)?)?;
    // The parent may have ended while it started another child, which holds the lifeline
    // of this one until it has its own program.
    if !is_parent(order.parent) {
        exit::exit_now(1);
    }
    let registry = owned(order.registry)?;
    let fds = order
        .fds
        .iter()
        .map(|&fd| owned(fd))
        .collect::<io::Result<_>>()?;
    Ok(Some(Received {
        handles: Handles {
            fds,
            entries: order.entries.clone(),
        },
        order,
        registry,
    }))
}

/// Whether the process of this id is the parent of the calling one. A parent in another
/// namespace of process ids is seen as 0.
fn is_parent(id: i32) -> bool {
    let parent = getppid().as_raw();
    parent == id || parent == 0
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

/// The number of a spawned child's own lifeline.
static LIFELINE: AtomicI32 = AtomicI32::new(-1);

/// In a spawned child that cannot run its function: leaves the reason for its parent, which
/// then finds it by [`refusal`].
pub(crate) fn tell_parent(why: &str) {
    let number = LIFELINE.load(Ordering::Relaxed);
    let path = format!("/proc/self/fd/{number}");
    // Where the lifeline has not come either, the parent learns the exit code alone.
    if !fs::metadata(&path).is_ok_and(|file| file.file_type().is_fifo()) {
        return;
    }
    // What comes through the lifeline must not be taken for the parent's end.
    // SAFETY: takes numbers, and touches no memory.
    unsafe { libc::fcntl(number, libc::F_SETFL, 0) };
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let why = &why.as_bytes()[..why.len().min(libc::PIPE_BUF)];
    opened.and_then(|mut pipe| pipe.write_all(why)).ok();
}

/// Why a child that has ended did not run its function, if it has said so.
pub(crate) fn refusal(lifeline: &OwnedFd) -> Option<String> {
    // The parent has the end for writing.
    let mut pipe = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(format!("/proc/self/fd/{}", lifeline.as_raw_fd()))
        .ok()?;
    let mut why = [0; libc::PIPE_BUF];
    // If nothing is in it, this fails: it would have to wait.
    let length = pipe.read(&mut why).ok()?;
    Some(String::from_utf8_lossy(&why[..length]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registered_function_can_be_named() {
        fn spawned(number: u8) -> ExitCode {
            number.into()
        }
        let program = Program::this();
        let function = Function::of(&spawned).unwrap();
        let entry = function.entry().unwrap();
        assert!(program.code.contains(&(entry as usize)));

        let range = program.constants.iter().chain([&program.code]);
        let named = range.flat_map(|range| range.clone().step_by(8));
        let entries: Vec<Entry> = named
            .filter_map(|place| Function(place - program.base).entry())
            .collect();
        assert!(!entries.is_empty());
        for entry in entries {
            assert!(program.code.contains(&(entry as usize)));
        }
        for place in [1, 4, usize::MAX, usize::MAX - program.base] {
            assert!(Function(place).entry().is_none());
        }
    }

    #[test]
    fn only_a_sealed_file_of_bounded_length_is_an_order() {
        let order = in_memory(b"order").unwrap();
        let number = order.as_raw_fd();
        mem::forget(order);
        assert_eq!(order_of(number).as_deref(), Some(&b"order"[..]));

        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let unsealed = File::from(memfd_create("order", flags).unwrap());
        assert!(order_of(unsealed.as_raw_fd()).is_none());

        unsealed.set_len(1 << 40).unwrap();
        fcntl(&unsealed, FcntlArg::F_ADD_SEALS(ORDER_SEALS)).unwrap();
        let number = unsealed.as_raw_fd();
        mem::forget(unsealed);
        assert!(order_of(number).is_none());

        let (reader, _writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        assert!(order_of(reader.as_raw_fd()).is_none());
        assert!(order_of(-1).is_none());
    }
}
