//! What other parts of the library do whenever a process is forked.

use std::sync::{Mutex, PoisonError};

use nix::unistd::Pid;

/// Called around every fork that [`Process`](super::Process) makes, in the order in
/// which the hooks were registered. A fork that the program makes by itself calls
/// none of them.
pub(crate) struct Hook {
    /// In the parent, while it is still alone: what the child must find done from its
    /// first instruction on, such as that it is counted.
    pub(crate) before: fn(),
    /// In the parent afterwards: with the child's id, or with `None` where there is
    /// none after all, and what `before` did is to be taken back.
    pub(crate) in_parent: fn(Option<Pid>),
    /// In the child, before its own function.
    pub(crate) in_child: fn(),
}

static HOOKS: Mutex<Vec<&'static Hook>> = Mutex::new(Vec::new());

/// Adds a hook. Call it once: from a `Once` or a `LazyLock` of the part that needs it.
#[expect(dead_code, reason = "the queues, which need it, are being written")]
pub(crate) fn register(hook: &'static Hook) {
    let mut hooks = HOOKS.lock().unwrap_or_else(PoisonError::into_inner);
    hooks.push(hook);
}

pub(super) fn before() {
    each(|hook| (hook.before)());
}

pub(super) fn in_parent(child: Option<Pid>) {
    each(|hook| (hook.in_parent)(child));
}

pub(super) fn in_child() {
    each(|hook| (hook.in_child)());
}

fn each(call: impl FnMut(&&'static Hook)) {
    let hooks = HOOKS.lock().unwrap_or_else(PoisonError::into_inner);
    hooks.iter().for_each(call);
}
