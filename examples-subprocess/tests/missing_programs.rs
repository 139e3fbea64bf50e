//! What a listing says of a program that is not installed.

mod stand_ins;

use stand_ins::StandIns;
use tutorial::harness::{Listing, listing};

fn misses(listing: Listing, sentence: &str) {
    let nothing = StandIns::none();
    let run = listing.env("PATH", nothing.alone()).run();
    assert_eq!(run.status.code(), Some(127), "{run:#?}");
    assert_eq!(run.errors, [sentence]);
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
fn any_other_is_named() {
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
fn a_shell_that_misses_one_tells_127() {
    let nothing = StandIns::none();
    let run = listing!("call_shell").env("PATH", nothing.alone()).run();
    assert_eq!(run.status.code(), Some(127), "{run:#?}");
    let last = run.errors.last().unwrap();
    assert_eq!(last, "`/bin/sh -c ls -l` ended with exit code 127.");
}
