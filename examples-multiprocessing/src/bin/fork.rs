//! `fork` is called once and returns twice.
//!
//! Listing N1, notebook, 多进程. `fork` is `unsafe` in Rust: the child has only the
//! thread that called it, and may hang on a lock that another thread of its parent
//! held.

use nix::unistd::{ForkResult, fork, getpid, getppid};
use tutorial::Result;

fn main() -> Result<()> {
    println!("Process ({}) start...", getpid());
    #[expect(unsafe_code, reason = "fork is the lesson")]
    // SAFETY: this process has only the one thread.
    let pid = unsafe { fork() }?;
    match pid {
        ForkResult::Child => {
            let (me, parent) = (getpid(), getppid());
            println!("I am child process ({me}) and my parent is {parent}.");
        }
        ForkResult::Parent { child } => {
            println!("I ({}) just created a child process ({child}).", getpid());
        }
    }
    Ok(())
}
