//! Privilege dropped, taken back by the saved user id, and dropped for good.
//!
//! Listing V24, 《Python标准库（中）》四 §2, which cannot do it: the set-uid bit would have
//! to go on the interpreter. A compiled program can have it for itself alone:
//! `sudo install -o root -m 4755 target/debug/saved_uid /usr/local/bin`, then run
//! `saved_uid` as yourself: `(1000, 0, 0)`, and remove it afterwards.

use nix::unistd::{Uid, getresuid, seteuid, setresuid};
use tutorial::Result;

/// The id that many systems know as `nobody`: one without rights.
const NOBODY: Uid = Uid::from_raw(65534);

fn print_ids() -> nix::Result<()> {
    let ids = getresuid()?;
    println!(
        "{:?}",
        (
            ids.real.as_raw(),
            ids.effective.as_raw(),
            ids.saved.as_raw()
        )
    );
    Ok(())
}

fn main() -> Result<()> {
    print_ids()?;
    let ids = getresuid()?;
    if !ids.saved.is_root() {
        println!(
            "There is no privilege to drop: see the head of this program's file."
        );
        return Ok(());
    }
    let root = ids.saved;
    let mut user = ids.real;
    if user.is_root() {
        // Started by root: what a set-uid program finds when `nobody` starts it.
        user = NOBODY;
        setresuid(user, root, root)?;
        print_ids()?;
    }

    seteuid(user)?;
    print!("dropped: ");
    print_ids()?;

    seteuid(root)?;
    print!("taken back: ");
    print_ids()?;

    setresuid(user, user, user)?;
    print!("dropped for good: ");
    print_ids()?;
    if let Err(error) = seteuid(root) {
        println!("taking it back is refused: {}", error.desc());
    }
    Ok(())
}
