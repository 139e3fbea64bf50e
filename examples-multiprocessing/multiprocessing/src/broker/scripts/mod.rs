//! The broker's atomic operations: scripts in Lua. The broker runs nothing else while it
//! runs one of them.
//!
//! The keys of a queue all begin with `mp:{QUEUE}:`, whose braces keep them on one node
//! of a cluster:
//!
//! | key | |
//! | --- | --- |
//! | `tasks` | stream: every task that waits or runs; its group is `workers` |
//! | `client:ID` | hash: a sender, and the answer to its last submission |
//! | `done:ID` | stream: the outcomes for that sender, one or more in an entry, until it has read them; it exists while the sender lives |
//! | `result:ID` | an outcome that is kept, to be looked up by the task's id; empty before the task ends. A task with a key is submitted only if there is none |
//! | `watchers:ID` | set: senders that wait for such an outcome |
//! | `dead` | stream: tasks that were given up |
//! | `agents` | hash: for each worker, the time of its last report, a space, and the report |
//! | `counts` | hash: the number of tasks that ended without a value, by the kind of their end |
//! | `lease` | the lease that the workers have agreed on |
//!
//! The scripts never parse arguments and results: Lua's numbers are too small for them.
//! All times are the broker's.
//!
//! A worker *owns* a task while the task's entry is pending with it. The first key of
//! every script is `tasks`; most need no other. Each script stands in a file of its own,
//! which begins with what it does, its arguments and its answer.

use redis::Script;

/// The beginning of every script.
const HEAD: &str = include_str!("head.lua");

// The functions that scripts share. A script defines its functions whenever it runs,
// which takes about as long as a command, so each script has only those that it needs.

const NOW: &str = include_str!("functions/now.lua");
const FIELDS_OF: &str = include_str!("functions/fields_of.lua");
const PENDING: &str = include_str!("functions/pending.lua");
const SENDER: &str = include_str!("functions/sender.lua");
const DELIVER: &str = include_str!("functions/deliver.lua");
const REMOVE: &str = include_str!("functions/remove.lua");
const BURY_TASK: &str = include_str!("functions/bury_task.lua");

/// All scripts, made once.
pub(super) struct Scripts {
    pub(super) submit: Script,
    pub(super) done: Script,
    pub(super) heartbeat: Script,
    pub(super) retry: Script,
    pub(super) release: Script,
    pub(super) bury: Script,
    pub(super) may_begin: Script,
    pub(super) cancel: Script,
    pub(super) check: Script,
    pub(super) watch: Script,
    pub(super) join: Script,
    pub(super) leave: Script,
    pub(super) stats: Script,
    pub(super) retry_dead: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |flags: &str, parts: &[&str]| {
            Script::new(&format!("{flags}{HEAD}{}", parts.concat()))
        };
        // These end tasks, which frees memory, or need little of it, so they run even
        // if memory is short.
        let always = |parts: &[&str]| script("#!lua flags=allow-oom\n", parts);
        let other = |parts: &[&str]| script("", parts);
        let burying = [FIELDS_OF, PENDING, DELIVER, REMOVE, BURY_TASK].concat();
        Self {
            submit: other(&[NOW, SENDER, include_str!("submit.lua")]),
            done: always(&[PENDING, DELIVER, include_str!("done.lua")]),
            heartbeat: always(&[NOW, &burying, include_str!("heartbeat.lua")]),
            retry: always(&[&burying, include_str!("retry.lua")]),
            release: always(&[PENDING, include_str!("release.lua")]),
            bury: always(&[&burying, include_str!("bury.lua")]),
            may_begin: always(&[
                NOW,
                FIELDS_OF,
                PENDING,
                DELIVER,
                REMOVE,
                include_str!("may_begin.lua"),
            ]),
            cancel: always(&[
                FIELDS_OF,
                DELIVER,
                REMOVE,
                include_str!("cancel.lua"),
            ]),
            check: always(&[SENDER, include_str!("check.lua")]),
            watch: always(&[SENDER, DELIVER, include_str!("watch.lua")]),
            join: always(&[include_str!("join.lua")]),
            leave: always(&[include_str!("leave.lua")]),
            stats: always(&[NOW, FIELDS_OF, include_str!("stats.lua")]),
            retry_dead: other(&[include_str!("retry_dead.lua")]),
        }
    }
}
