//! Processes that are fresh copies of the program instead of forks.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{self, ExitCode, Termination};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::getppid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::identity::{self, AuthKey, Identity};
use super::{ProcessError, prepare, run_to_the_end};
use crate::handover::{self, Handles};
use crate::sys::spawn::{self, Function, Received, Spawned};
use crate::{codec, registry};

/// Whether `main` began with [`freeze_support`], so that a copy of this program will
/// find its order.
static SUPPORTED: AtomicBool = AtomicBool::new(false);

/// In a process that [`Process::spawned`](super::Process::spawned) started: runs the
/// function that it was started for, and ends the process. In any other: nothing.
///
/// Call it first in `main`, before there are threads and before a lock, a queue or
/// anything else to share is made: a spawned process that has such already cannot share
/// with its parent, and ends with code 1. Every spawned process runs what stands before
/// it once more, as Python runs what stands outside of `if __name__ == "__main__"`. Its
/// name is that of Python's
/// [`freeze_support`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.freeze_support),
/// which does the same for a Python program that was made into an executable file.
///
/// A spawned process whose parent has ended in the meantime ends too, silently. One that
/// cannot run its function says why on its standard error and exits with code 1. If its
/// standard error is closed or `/dev/null`, its parent's
/// [`join`](super::Process::join) says why instead.
///
/// ```
/// use multiprocessing::freeze_support;
///
/// fn main() {
///     freeze_support();
///     // The program proper.
/// }
/// ```
pub fn freeze_support() {
    match spawn::receive() {
        Ok(None) => SUPPORTED.store(true, Ordering::Relaxed),
        Ok(Some(Received {
            order,
            handles,
            registry,
        })) => {
            SUPPORTED.store(true, Ordering::Relaxed);
            if let Err(error) = registry::join_registry(registry) {
                refuse(&error);
            }
            prepare();
            if let Ok(sent) = codec::decode::<SentIdentity>(&order.identity) {
                identity::assume(Box::new(sent.into()));
            }
            let code = run_to_the_end(|| {
                let code = order.function.call(&order.argument, handles);
                code.unwrap_or_else(|error| {
                    let name = identity::name_of_child().unwrap_or_default();
                    let why = format!("the argument did not arrive: {error}");
                    report(&format!("{name}: {why}"), &why);
                    ExitCode::FAILURE
                })
            });
            process::exit(code);
        }
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &dyn Error) -> ! {
    let sentence =
        format!("This process was started for a function of its parent: {error}.");
    report(&sentence, &error.to_string());
    process::exit(1);
}

/// Says on standard error why the function is not run. If standard error is `/dev/null`,
/// which is also what Rust opens in the place of a closed one, the parent's `join` says it.
fn report(sentence: &str, why: &str) {
    let said = io::stderr().write_all(format!("{sentence}\n").as_bytes());
    let target = fs::read_link("/proc/self/fd/2");
    if said.is_err() || target.is_ok_and(|file| file == Path::new("/dev/null")) {
        spawn::tell_parent(why);
    }
}

/// A function and its argument, ready to be sent.
pub(super) struct SpawnRequest {
    function: Function,
    argument: Vec<u8>,
    handles: Handles,
}

impl SpawnRequest {
    pub(super) fn pack<F, A, R>(
        function: &F,
        argument: &A,
    ) -> Result<Self, ProcessError>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        R: Termination,
    {
        let function =
            Function::of(function).ok_or(ProcessError::ForeignFunction)?;
        let (argument, handles) = handover::collect(|| codec::encode(argument));
        Ok(Self {
            function,
            argument: argument.map_err(ProcessError::Argument)?,
            handles,
        })
    }

    pub(super) fn send(self, identity: &Identity) -> Result<Spawned, ProcessError> {
        if !SUPPORTED.load(Ordering::Relaxed) {
            return Err(ProcessError::NoFreezeSupport);
        }
        if spawn::has_foreign_rights() {
            return Err(ProcessError::ForeignRights);
        }
        let identity_bytes = codec::encode(&SentIdentity::from(identity));
        let identity_bytes = identity_bytes.map_err(ProcessError::Argument)?;
        let registry = registry::descriptor().map_err(io::Error::other);
        registry
            .and_then(|registry| {
                spawn::spawn(
                    self.function,
                    self.argument,
                    self.handles,
                    identity_bytes,
                    registry,
                )
            })
            .map_err(ProcessError::system("start a copy of this program"))
    }
}

/// An identity as it travels.
#[derive(Serialize, Deserialize)]
struct SentIdentity {
    name: String,
    numbers: Vec<u32>,
    daemon: bool,
    authkey: Vec<u8>,
    parent: String,
}

impl From<&Identity> for SentIdentity {
    fn from(identity: &Identity) -> Self {
        Self {
            name: identity.name.clone(),
            numbers: identity.numbers.clone(),
            daemon: identity.daemon,
            authkey: identity.authkey.as_bytes().into(),
            parent: identity
                .parent
                .clone()
                .map(|(name, _)| name)
                .unwrap_or_default(),
        }
    }
}

impl From<SentIdentity> for Identity {
    fn from(sent: SentIdentity) -> Self {
        Self {
            name: sent.name,
            numbers: sent.numbers,
            daemon: sent.daemon,
            authkey: AuthKey::from(sent.authkey),
            parent: Some((sent.parent, getppid())),
            children: 0,
        }
    }
}
