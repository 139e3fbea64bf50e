//! How a program ends gracefully on Ctrl+C and on SIGTERM: this module is documentation
//! only.
//!
//! A graceful end finishes the work that was begun, begins nothing new, and takes no longer
//! than it may. Without any of what follows, both signals end the program at once, and its
//! children with it: nothing is left behind, but tasks are broken off.
//!
//! # Who is told what
//!
//! Ctrl+C sends SIGINT to every process of the terminal's foreground job. SIGTERM comes
//! from `kill`, a container or a service manager, and only to the process that is named
//! (but systemd's default, `KillMode=control-group`, sends it to every process of the
//! service: say `KillMode=mixed`).
//!
//! | | on SIGINT | on SIGTERM | how it is ended gracefully |
//! | --- | --- | --- | --- |
//! | [`Process`](crate::Process) | ends, unless its function handles it | ends, unless its function handles it | tell it by an [`Event`](crate::Event), or by [`close`](crate::Queue::close) of the queue that it reads; then [`join_timeout`](crate::Process::join_timeout), and if that is too long [`terminate`](crate::Process::terminate) or [`kill`](crate::Process::kill) |
//! | [`Pool`](crate::Pool) | its workers stay as long as the program does | its workers stay, for the program is told alone; a supervisor that is told ends its workers at once | [`close`](crate::Pool::close), then [`join_timeout`](crate::Pool::join_timeout), and if that is too long [`terminate`](crate::Pool::terminate); a task may have a [`deadline`](crate::Pool::deadline) of its own |
#![cfg_attr(
    feature = "managers",
    doc = "| a [manager](crate::managers) | its process ignores it | its process ends | [`shutdown`](crate::managers::SyncManager::shutdown), last of all: the others may still use its objects |"
)]
//!
//! So one process decides, the one that started the others: it registers the signals, and
//! when one has come it tells the others, waits for them with a deadline, and ends those
//! that are late. A signal's handler itself may do next to nothing. Let it set a flag, or
//! use an iterator over the signals: [signal-hook](https://docs.rs/signal-hook) has both.
//!
//! # A handler in a forked child
//!
//! In a forked child SIGINT and SIGTERM have their default action, even if its parent has
//! registered a handler. And signal-hook cannot register a signal in a forked child that
//! its parent had registered before the fork: it installs its handler once for each signal,
//! takes it for installed, and the signal ends the child. There are three ways round it:
//!
//! - start the child before the parent registers its signals, as the program below does;
//! - start it by [spawn](crate::Process::spawned): it begins afresh;
//! - in the child, install a handler by the system's own
//!   [`sigaction`](https://docs.rs/nix/latest/nix/sys/signal/fn.sigaction.html), which is
//!   `unsafe`: the handler may only do what is
//!   [async-signal-safe](https://man7.org/linux/man-pages/man7/signal-safety.7.html).
//!
//! # A program
//!
//! It is `examples/graceful_end.rs`, and is run and signalled by the tests:
//!
//! ```console
//! $ cargo run -p multiprocessing --features managers --example graceful_end
//! working
//! ^Csignal 2: 4 tasks to finish
//! child: finished 21 pieces
//! all squares are there: true
//! ```
//!
//! ```rust,ignore
#![doc = include_str!("../examples/graceful_end.rs")]
//! ```
