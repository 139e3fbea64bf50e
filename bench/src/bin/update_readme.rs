//! Brings the figures and pictures of the READMEs up to a run of the bench.
//!
//! ```console
//! $ cargo bench -p bench
//! $ cargo run -p bench --bin update_readme
//! ```
//!
//! It takes the samples of another run as its argument.

use std::env;
use std::path::{Path, PathBuf};

use bench::{Record, update};

fn main() -> anyhow::Result<()> {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = bench.parent().unwrap_or(bench);
    let samples = match env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => root.join("target/criterion/samples.json"),
    };
    update(&Record::read(&samples)?, root)
}
