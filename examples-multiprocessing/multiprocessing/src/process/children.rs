//! The children of this process: who they are, and what becomes of them at its end.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ProcessHandle;
use super::handle::Child;

/// Every child that was started and not yet reaped.
static CHILDREN: Mutex<Vec<ProcessHandle>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<ProcessHandle>> {
    // Nothing that can panic runs under the lock.
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn remember(handle: ProcessHandle) {
    lock().push(handle);
}

/// Strikes out a child that was reaped.
pub(super) fn forget(child: &Arc<Child>) {
    lock()
        .retain(|known| !known.child().is_ok_and(|known| Arc::ptr_eq(known, child)));
}

/// In a forked child: those are its parent's.
pub(super) fn forget_all() {
    // To free them would be to copy the memory that they lie in.
    let parents = mem::take(&mut *lock());
    parents.iter().for_each(ProcessHandle::let_go);
    mem::forget(parents);
}

/// Reaps those that have ended.
pub(super) fn reap() {
    lock().retain(ProcessHandle::is_alive);
}

/// Those that run.
pub(super) fn active() -> Vec<ProcessHandle> {
    reap();
    lock().clone()
}

/// How long a daemon may take to end on SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// Ends the daemons and waits for the others: what a process does at its own end.
pub(super) fn settle() {
    // A program that forks by itself makes a process that has this list and none of
    // these children.
    let mut children = active();
    children.retain(|handle| handle.child().is_ok());
    // An error here is a child that is gone, and that is what is wanted.
    for daemon in children.iter().filter(|child| child.daemon()) {
        let _gone = daemon.terminate();
    }
    for child in children.iter().filter(|child| !child.daemon()) {
        let _gone = child.join();
    }
    for daemon in children.iter().filter(|child| child.daemon()) {
        if let Ok(false) = daemon.join_timeout(GRACE) {
            let _gone = daemon.kill();
            let _gone = daemon.join();
        }
    }
}
