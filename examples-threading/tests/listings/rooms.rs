//! A hundred workers build a room each: V19, V20.

use std::collections::HashSet;

use tutorial::harness::{Listing, listing};

fn the_first_ten_drink_once_the_eleventh_is_done(listing: Listing) {
    let lines = listing.run().success();
    let mut built: Vec<&str> = Vec::new();
    let mut drunk = HashSet::new();
    for line in &lines {
        let (tid, did) = line
            .strip_prefix("worker ")
            .unwrap()
            .split_once(' ')
            .unwrap();
        if did == "drinks beer" {
            assert!(built.len() >= 11, "too early: {lines:#?}");
            assert!(built[..10].contains(&tid), "not one of ten: {lines:#?}");
            assert!(drunk.insert(tid), "twice: {lines:#?}");
        } else {
            built.push(tid);
            assert_eq!(did, format!("has built room {}", built.len()));
        }
    }
    assert_eq!(drunk.len(), 10);
    built.sort_by_key(|tid| tid.parse::<u8>().unwrap());
    let workers: Vec<_> = (0..100).map(|tid| tid.to_string()).collect();
    assert_eq!(built, workers);
}

#[test]
fn condition_lets_the_first_ten_drink_once_the_eleventh_is_done() {
    for _ in 0..20 {
        the_first_ten_drink_once_the_eleventh_is_done(listing!("condition"));
    }
}

#[test]
fn condition_oop_lets_the_first_ten_drink_once_the_eleventh_is_done() {
    for _ in 0..20 {
        the_first_ten_drink_once_the_eleventh_is_done(listing!("condition_oop"));
    }
}
