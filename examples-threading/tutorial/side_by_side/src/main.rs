//! Writes the page: `side_by_side DOCUMENT… [-o page.html] [--run]`.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use side_by_side::{
    Document, Result, Row, page, project_sections, root, rows, text,
};

const USAGE: &str = "Usage: side_by_side DOCUMENT… [-o page.html] [--run]

Writes one HTML page that shows your own copies of the tutorials beside their ports.
--run builds the listings and adds what each prints at TEMPO=50.";

/// How much of a listing's output the page shows, in lines.
const OUTPUT_LINES: usize = 60;

/// What the command line asks for.
struct Arguments {
    documents: Vec<PathBuf>,
    page: PathBuf,
    run: bool,
}

fn arguments() -> Option<Arguments> {
    let mut documents = Vec::new();
    let mut page = PathBuf::from("side_by_side.html");
    let mut run = false;
    let mut words = env::args_os().skip(1);
    while let Some(word) = words.next() {
        if word == "-o" {
            page = words.next()?.into();
        } else if word == "--run" {
            run = true;
        } else if word.to_string_lossy().starts_with('-') {
            return None;
        } else {
            documents.push(word.into());
        }
    }
    let arguments = Arguments {
        documents,
        page,
        run,
    };
    (!arguments.documents.is_empty()).then_some(arguments)
}

/// Builds the listings and runs each. Returns what they printed, by name.
///
/// They run one after the other in a folder of their own, without input, and a listing
/// that has no end is ended after some seconds, as by Ctrl+C.
fn outputs(rows: &[Row]) -> Result<BTreeMap<String, String>> {
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--workspace", "--bins"])
        .current_dir(root());
    if !build.status()?.success() {
        return Err("the listings cannot be built".into());
    }
    let here = env::current_exe()?;
    let programs = here.parent().unwrap_or(Path::new("."));
    let folder =
        env::temp_dir().join(format!("side_by_side-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let mut outputs = BTreeMap::new();
    for row in rows {
        eprintln!("{} {}", row.id, row.name());
        let mut listing = Command::new("timeout");
        listing
            .args(["--signal=INT", "--kill-after=2", "5"])
            .arg(programs.join(row.name()))
            .current_dir(&folder)
            .env("TEMPO", "50")
            .stdin(Stdio::null());
        let end = listing.output()?;
        let printed = String::from_utf8_lossy(&end.stdout);
        let mut lines: Vec<_> = printed.lines().take(OUTPUT_LINES).collect();
        if printed.lines().count() > OUTPUT_LINES {
            lines.push("…");
        }
        let failed = String::from_utf8_lossy(&end.stderr);
        lines.extend(failed.lines().take(OUTPUT_LINES));
        outputs.insert(row.name().to_string(), lines.join("\n"));
    }
    fs::remove_dir_all(&folder)?;
    Ok(outputs)
}

fn write_page(arguments: &Arguments) -> Result<()> {
    let documents = arguments.documents.iter();
    let documents: Vec<_> = documents
        .map(|path| Document::read(path))
        .collect::<Result<_>>()?;
    let rows = rows(&text("README.md")?);
    let outputs = if arguments.run {
        outputs(&rows)?
    } else {
        BTreeMap::new()
    };
    let page = page(&project_sections()?, &rows, &documents, &outputs)?;
    let path = &arguments.page;
    fs::write(path, &page.html)
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    let all = page.found.len() + page.missing.len();
    println!("{} of {all} listings found", page.found.len());
    if !page.missing.is_empty() {
        println!("not found: {}", page.missing.join(" "));
    }
    println!("{}", path.display());
    Ok(())
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match write_page(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
