//! The three outcomes of `fork`: an error, the child, the parent.
//!
//! Listing D6, 达内 course notes, `os.fork()`. A failed `os.fork` raises, so Python
//! never sees the negative number that its listing tests for. Here it is the `Err`.

use nix::unistd::{ForkResult, fork, getpid, getppid};

fn main() {
    #[expect(unsafe_code, reason = "fork is the lesson")]
    // SAFETY: this process has only the one thread.
    let pid = unsafe { fork() };
    match pid {
        Err(_) => println!("fork error"),
        Ok(ForkResult::Child) => {
            println!("child id {}, parent id {}", getpid(), getppid());
        }
        Ok(ForkResult::Parent { child }) => {
            println!("parent id {}, child id {child}", getpid());
        }
    }
}
