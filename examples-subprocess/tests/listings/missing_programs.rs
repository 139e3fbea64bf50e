//! What a listing says if a program is not installed.

use crate::stand_ins::StandIns;
use tutorial::harness::{Listing, listing};

fn misses(listing: Listing, sentence: &str) {
    let nothing = StandIns::none();
    let run = listing.env("PATH", nothing.alone()).run();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    assert_eq!(run.errors, [format!("Error: {sentence}")]);
}

#[test]
fn ping_is_named_with_its_package() {
    let sentence = "ping was not found: install the Debian package iputils-ping.";
    misses(listing!("popen_no_wait"), sentence);
    misses(listing!("popen_wait"), sentence);
}

#[test]
fn nslookup_is_named_with_its_package() {
    let sentence =
        "nslookup was not found: install the Debian package bind9-dnsutils.";
    misses(listing!("nslookup_call"), sentence);
    misses(listing!("nslookup_communicate"), sentence);
}

#[test]
fn any_other_program_is_named() {
    misses(
        listing!("call"),
        "ls was not found: install it or correct its name.",
    );
    misses(
        listing!("check_output"),
        "echo was not found: install it or correct its name.",
    );
    misses(
        listing!("communicate_cat"),
        "cat was not found: install it or correct its name.",
    );
}

#[test]
fn a_child_program_is_named_with_the_command_that_builds_it() {
    // Away from its child programs, which cargo builds into its own folder.
    let alone = StandIns::none();
    let copy = alone.copy_of(env!("CARGO_BIN_EXE_communicate_chain"));
    let run = Listing::new(&copy).run();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    let program = copy.replace("communicate_chain", "increment_first");
    let sentence = format!(
        "Error: {program} was not found: build it with `cargo build -p \
         examples-subprocess`."
    );
    assert_eq!(run.errors, [sentence]);
}
