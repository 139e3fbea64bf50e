//! The program of the documentation's page on a graceful end, run and signalled.
//!
//! A process that forks must have one thread, and a test has several: so this program
//! starts itself as that program, under `SUBJECT`.

use std::env;

use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::{Signal, kill};
use tutorial::harness::{Listing, Running};

#[path = "../examples/graceful_end.rs"]
mod graceful_end;

fn main() -> multiprocessing::Result<()> {
    if env::var("SUBJECT").is_ok() {
        return graceful_end::main();
    }
    let claim = |name: &str, signal, send: fn(&Running, Signal)| {
        Trial::test(name, move || {
            ends_in_good_order(signal, send);
            Ok(())
        })
    };
    let trials = vec![
        claim(
            "ctrl_c_ends_it_in_good_order",
            Signal::SIGINT,
            Running::signal,
        ),
        claim(
            "a_terminated_program_ends_in_good_order",
            Signal::SIGTERM,
            |running, signal| kill(running.pid(), signal).unwrap(),
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// `finish` also insists that no process is left that has the program's output.
fn ends_in_good_order(signal: Signal, send: fn(&Running, Signal)) {
    let this = env::current_exe().unwrap();
    let mut running = Listing::new(this.to_str().unwrap())
        .env("SUBJECT", "graceful_end")
        .start();
    assert_eq!(running.line(), "working");
    send(&running, signal);
    let lines = running.finish().success();
    let told = lines.iter().any(|line| {
        line.starts_with(&format!("signal {}: ", signal as i32))
            && line.ends_with(" tasks to finish")
    });
    let finished = |line: &String| line.starts_with("child: finished ");
    assert!(told && lines.iter().any(finished), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "all squares are there: true");
}
