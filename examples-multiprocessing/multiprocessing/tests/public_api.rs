//! The library stands on its own: it names nothing of the listings or of what they share.

use std::fs;
use std::path::{Path, PathBuf};

/// The packages of the tutorial and of the listings, as manifests and as paths name them.
/// The queues of threads are the one package of theirs that managers need.
const LISTINGS: [&str; 9] = [
    "tutorial",
    "examples-subprocess",
    "examples-signal",
    "examples-threading",
    "examples-multiprocessing",
    "examples_subprocess",
    "examples_signal",
    "examples_threading",
    "examples_multiprocessing",
];

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the library, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// What the library is made of: no comments, and so no examples, which may use
/// development dependencies.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    lines.filter(|line| !line.trim().is_empty())
}

#[test]
fn the_library_names_no_package_of_the_listings() {
    let sources = sources(&package().join("src"));
    assert!(sources.len() > 50, "only {} files found", sources.len());
    for (path, text) in sources {
        for line in code(&text) {
            for listing in LISTINGS {
                assert!(
                    !line.contains(&format!("{listing}::")),
                    "{} names {listing}: {line}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_manifest_depends_on_no_package_of_the_listings() {
    let manifest = fs::read_to_string(package().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap();
    let dependencies = rest.split("\n[").next().unwrap();
    assert!(dependencies.contains("nix"), "{dependencies}");
    for line in dependencies.lines() {
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        assert!(!LISTINGS.contains(&name), "{line}");
    }
}
