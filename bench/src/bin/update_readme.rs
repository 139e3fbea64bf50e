//! Brings the figures and pictures of the READMEs up to a run of the bench.
//!
//! ```console
//! $ cargo bench -p bench
//! $ cargo run -p bench --bin update_readme
//! ```
//!
//! It takes the samples of another run as its argument.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bench::{Record, update};

const USAGE: &str = "Usage: update_readme [SAMPLES.json]

Brings both READMEs up to the last run of `cargo bench -p bench`, or to these samples.";

fn main() -> ExitCode {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = bench.parent().unwrap_or(bench);
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let samples = match arguments.as_slice() {
        [] => root.join("target/criterion/samples.json"),
        [path] if !path.to_string_lossy().starts_with('-') => PathBuf::from(path),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let done = Record::read(&samples).and_then(|record| update(&record, root));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}.");
            ExitCode::FAILURE
        }
    }
}
