//! What a process can change about itself, and what the system refuses.
//!
//! Listing V23, 《Python标准库（中）》四 §1 (prose). Run it as yourself and under `sudo`.

use std::fmt::Display;

use multiprocessing::Process;
use nix::unistd::{
    Gid, Pid, Uid, getegid, geteuid, getgid, getpgid, getpgrp, getsid, getuid,
    setegid, seteuid, setgid, setpgid, setsid, setuid,
};
use tutorial::Result;

/// The id that many systems know as `nobody`: one without rights.
const NOBODY: u32 = 65534;

fn tell(call: &str, done: nix::Result<()>, now: impl Display) {
    match done {
        Ok(()) => println!("{call}: it is {now} now"),
        Err(error) => {
            println!("{call}: refused, it is still {now}: {}", error.desc());
        }
    }
}

fn groups() {
    let me = Pid::from_raw(0);
    let group = setpgid(me, me);
    tell("pgid", group, getpgrp());
    // The leader of a group must stay in its session.
    let session = setsid().map(drop);
    tell(
        "sid by a group's leader",
        session,
        getsid(None).unwrap_or(me),
    );
}

fn session() {
    let me = Pid::from_raw(0);
    let session = setsid().map(drop);
    tell("sid by a new process", session, getsid(None).unwrap_or(me));
    println!("pgid: it is {} now too", getpgid(None).unwrap_or(me));
}

fn users() {
    // The group first: who has given up being root may not change it any more.
    tell("egid", setegid(Gid::from_raw(NOBODY)), getegid());
    tell("euid", seteuid(Uid::from_raw(NOBODY)), geteuid());
    // Root's effective id can be taken back, for the saved one is still root's.
    let back = setegid(getgid()).and_then(|()| seteuid(getuid()));
    tell("euid taken back", back, geteuid());
    tell("gid", setgid(Gid::from_raw(NOBODY)), getgid());
    tell("uid", setuid(Uid::from_raw(NOBODY)), getuid());
    tell("uid taken back", setuid(Uid::from_raw(0)), getuid());
}

fn main() -> Result<()> {
    // Each in a process of its own, for what it changes, it changes for good.
    for part in [groups, session, users] {
        let mut p = Process::new(part);
        p.start()?;
        p.join()?;
    }
    Ok(())
}
