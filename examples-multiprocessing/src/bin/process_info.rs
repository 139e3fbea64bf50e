//! What a process can ask about itself.
//!
//! Listing V22, 《Python标准库（中）》 1、进程信息 (prose). The text's `getenviron` and
//! `setenviron` have never existed: it is `os.environ`. That writes through to the
//! environment, which is `unsafe` in Rust, since a thread could be reading it.

use std::env;

use nix::sys::stat::{Mode, umask};
use nix::sys::utsname::uname;
use nix::unistd::{
    getegid, geteuid, getgid, getpgid, getpid, getppid, getresgid, getresuid,
    getsid, getuid,
};
use tutorial::Result;

/// As Python prints them.
fn ids<I: Into<u32>>([real, effective, saved]: [I; 3]) -> (u32, u32, u32) {
    (real.into(), effective.into(), saved.into())
}

fn main() -> Result<()> {
    let system = uname()?;
    println!(
        "uname: {} {} {}",
        system.sysname().display(),
        system.release().display(),
        system.machine().display()
    );

    // The system returns the mask only when another is set.
    let mask = umask(Mode::empty());
    umask(mask);
    println!("umask: {:#o}", mask.bits());

    let (uids, gids) = (getresuid()?, getresgid()?);
    println!("uid: {}  euid: {}", getuid(), geteuid());
    println!("resuid: {:?}", ids([uids.real, uids.effective, uids.saved]));
    println!("gid: {}  egid: {}", getgid(), getegid());
    println!("resgid: {:?}", ids([gids.real, gids.effective, gids.saved]));

    println!("pid: {}  pgid: {}", getpid(), getpgid(None)?);
    println!("ppid: {}  sid: {}", getppid(), getsid(None)?);

    println!("environ HOME: {:?}", env::var_os("HOME"));
    #[expect(unsafe_code, reason = "to change the environment is the lesson")]
    // SAFETY: this process has only the one thread, so nobody reads it meanwhile.
    unsafe {
        env::set_var("TUTORIAL", "multiprocessing");
    }
    println!("environ TUTORIAL: {:?}", env::var_os("TUTORIAL"));
    Ok(())
}
