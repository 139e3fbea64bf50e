//! A forked child outlives its parent and is adopted.
//!
//! Listing D8, 达内 course notes, 注意父进程不会等子进程. Only a bare `fork` can do this: a
//! `Process` is waited for, and ends when its parent is killed.

use nix::unistd::{ForkResult, fork, getpid, getppid};
use tutorial::sleep;

fn main() {
    #[expect(unsafe_code, reason = "fork is the lesson")]
    // SAFETY: this process has only the one thread.
    let pid = unsafe { fork() };

    match pid {
        Err(_) => println!("fork error"),
        Ok(ForkResult::Child) => {
            sleep(1.0);
            println!("child id {}, parent id {}", getpid(), getppid());
        }
        Ok(ForkResult::Parent { child }) => {
            println!("parent id {}, child id {child}", getpid());
        }
    }
}
