//! What a process can change about itself, and what the system refuses.
//!
//! Listing V23, 《Python标准库（中）》 1、进程信息 (prose). The text's `put*()` have never
//! existed: they are `os.setuid`, `os.setpgid` and so on. Run it as yourself and
//! under `sudo`.

use std::fmt::Display;

use multiprocessing::Process;
use nix::unistd::{
    Gid, Pid, Uid, getegid, geteuid, getgid, getpgrp, getsid, getuid, setegid,
    seteuid, setgid, setpgid, setsid, setuid,
};
use tutorial::Result;

/// The user and group without rights, `nobody` on many systems.
const NOBODY: u32 = 65534;

fn report(call: &str, done: nix::Result<()>, now: impl Display) {
    match done {
        Ok(()) => println!("{call}: it is {now} now"),
        Err(error) => {
            println!("{call}: refused, it is still {now}: {}", error.desc());
        }
    }
}

fn groups() {
    let me = Pid::from_raw(0);
    report("pgid", setpgid(me, me), getpgrp());
    // The leader of a group must stay in its session.
    let session = setsid().map(drop);
    report("sid by a group's leader", session, getsid(None).unwrap());
}

fn session() {
    let session = setsid().map(drop);
    report("sid by a new process", session, getsid(None).unwrap());
    println!("pgid: it is {} now too", getpgrp());
}

fn users() {
    // The group first: without root's rights it can no longer be changed.
    report("egid", setegid(Gid::from_raw(NOBODY)), getegid());
    report("euid", seteuid(Uid::from_raw(NOBODY)), geteuid());
    // Root's effective id can be taken back, since the saved one is still root's.
    let back = setegid(getgid()).and_then(|()| seteuid(getuid()));
    report("euid taken back", back, geteuid());
    report("gid", setgid(Gid::from_raw(NOBODY)), getgid());
    report("uid", setuid(Uid::from_raw(NOBODY)), getuid());
    report("uid taken back", setuid(Uid::from_raw(0)), getuid());
}

fn main() -> Result<()> {
    // Each in a process of its own, since what it changes stays changed.
    for part in [groups, session, users] {
        let mut p = Process::new(part);
        p.start()?;
        p.join()?;
    }
    Ok(())
}
