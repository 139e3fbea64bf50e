//! Privilege dropped, taken back by the saved user id, and dropped for good.
//!
//! Listing V24, 《Python标准库（中）》 `saved UID和saved GID`. The text cannot show it,
//! because the set-uid bit would have to go on the interpreter. A compiled program
//! can have the bit for itself. Install it, run `saved_uid` as yourself, and remove
//! it again: `sudo install -o root -m 4755 target/debug/saved_uid /usr/local/bin`.

use nix::unistd::{Uid, getresuid, seteuid, setresuid};
use tutorial::Result;

/// The user without rights, `nobody` on many systems.
const NOBODY: Uid = Uid::from_raw(65534);

fn print_ids() -> nix::Result<()> {
    let ids = getresuid()?;
    println!("({}, {}, {})", ids.real, ids.effective, ids.saved);
    Ok(())
}

fn main() -> Result<()> {
    print_ids()?;
    let ids = getresuid()?;
    if !ids.saved.is_root() {
        println!("There is no privilege to drop: see the top of saved_uid.rs.");
        return Ok(());
    }
    let root = ids.saved;
    let mut user = ids.real;
    if user.is_root() {
        // Started by root: continue as a set-uid program that `nobody` starts.
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
