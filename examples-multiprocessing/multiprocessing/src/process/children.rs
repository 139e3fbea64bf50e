//! The children of this process, and what it does with them at its end.
//!
//! A new process has to map every page of code that it uses. So the functions that a forked
//! child without children of its own calls are inlined, and the rest is kept out of them.

use std::mem;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::child::Child;
use crate::poison::lock_unpoisoned;

/// Every child that was started and not yet reaped.
static CHILDREN: Mutex<Vec<Arc<Child>>> = Mutex::new(Vec::new());

/// Adds a child that was started.
pub(super) fn add(child: Arc<Child>) {
    lock_unpoisoned(&CHILDREN).push(child);
}

/// Removes a child that was reaped.
pub(super) fn remove(child: &Arc<Child>) {
    lock_unpoisoned(&CHILDREN).retain(|known| !Arc::ptr_eq(known, child));
}

/// In a forked child: those are its parent's.
#[inline]
pub(super) fn remove_all() {
    let of_the_parent = mem::take(&mut *lock_unpoisoned(&CHILDREN));
    for child in &of_the_parent {
        child.close_lifeline();
    }
    // To free them would be to copy the memory that they lie in.
    mem::forget(of_the_parent);
}

/// Reaps those that have ended, before another is started. Each is asked by a system call,
/// so where there are many, this does it only whenever their number has doubled.
#[inline]
pub(super) fn reap_sometimes() {
    let count = lock_unpoisoned(&CHILDREN).len();
    if count < 64 || count.is_power_of_two() {
        reap();
    }
}

/// Reaps those that have ended.
#[inline]
fn reap() {
    let mut children = lock_unpoisoned(&CHILDREN);
    if !children.is_empty() {
        children
            .retain(|child| child.is_mine() && matches!(child.exitcode(), Ok(None)));
    }
}

/// Those that run.
#[inline]
pub(super) fn active() -> Vec<Arc<Child>> {
    reap();
    lock_unpoisoned(&CHILDREN).clone()
}

/// How long daemons may take to end on SIGTERM before they are killed.
const GRACE: Duration = Duration::from_secs(1);

/// Ends the daemons and waits for the others: what a process does at its own end.
#[inline]
pub(super) fn settle() {
    // A program that forks by itself makes a process that has this list and none of
    // these children: `active` leaves them out.
    let children = active();
    if !children.is_empty() {
        end(children);
    }
}

fn ends_until(daemon: &Child, until: Instant) -> bool {
    if let Ok(ended) = daemon.join_until(until) {
        return ended;
    }
    // There is no descriptor to watch it with, so this looks at it now and then.
    while matches!(daemon.exitcode(), Ok(None)) {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

fn end(children: Vec<Arc<Child>>) {
    let (daemons, others): (Vec<_>, Vec<_>) =
        children.into_iter().partition(|child| child.daemon);
    // An error here is a child that is gone, and that is what is wanted.
    for daemon in &daemons {
        daemon.send(Signal::SIGTERM).ok();
    }
    for child in &others {
        child.join().ok();
    }
    let until = Instant::now() + GRACE;
    let slow: Vec<_> = daemons
        .iter()
        .filter(|daemon| !ends_until(daemon, until))
        .collect();
    for daemon in &slow {
        daemon.send(Signal::SIGKILL).ok();
    }
    for daemon in &slow {
        daemon.join().ok();
    }
}
