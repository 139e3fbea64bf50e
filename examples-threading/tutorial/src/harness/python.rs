//! The Python interpreters to compare with.

use std::env;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Listing;

/// `python3` and the interpreters that the environment variable `PYTHONS` names, as far
/// as they run. If there is none, this prints so.
#[must_use]
pub fn pythons() -> Vec<String> {
    let more = env::var("PYTHONS").unwrap_or_default();
    let all = ["python3"].into_iter().chain(more.split([' ', ':']));
    let found: Vec<_> = all
        .filter(|python| !python.is_empty())
        .filter(|python| {
            let mut version = Command::new(python);
            let version = version.args(["-c", "import multiprocessing.managers"]);
            version
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|end| end.success())
        })
        .map(String::from)
        .collect();
    if found.is_empty() {
        println!("NO python3 HERE: nothing was tried against Python itself.");
        eprintln!("NO python3 HERE: nothing was tried against Python itself.");
    }
    found
}

/// A script, to be run by this interpreter.
#[must_use]
pub fn script(python: &str, script: &Path) -> Listing {
    Listing::new(python).arg("-u").arg(script)
}

/// A port of 127.0.0.1 that was free a moment ago, for scripts that cannot let the
/// system pick one.
#[must_use]
pub fn free_port() -> u16 {
    let listener =
        TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}
