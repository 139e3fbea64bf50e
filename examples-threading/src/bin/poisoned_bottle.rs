//! One of 1000 bottles is poisoned; ten mice find it in one week.
//!
//! Listing D45, 达内 course notes, 一模一样的瓶子 (exercise). Bottles and mice are numbered
//! from 1. Mouse k drinks from each bottle whose number has bit k, so the dead mice
//! spell the number. `poisoned_bottle [BOTTLE]` poisons another bottle than 127.

use std::env;

use tutorial::{Failure, Result};

const BOTTLES: u32 = 1000;
const MICE: u32 = 10;

fn drinks(mouse: u32, bottle: u32) -> bool {
    bottle >> (mouse - 1) & 1 == 1
}

/// The mice that are dead after the week.
fn week(mice: u32, bottles: u32, poisoned: u32) -> Vec<u32> {
    // With fewer mice, two bottles would kill the same ones.
    assert!(u64::from(bottles) < 1 << mice, "too few mice");
    let mut dead = Vec::new();
    for mouse in 1..=mice {
        if drinks(mouse, poisoned) {
            dead.push(mouse);
        }
    }
    dead
}

/// The bottle that killed exactly these mice.
fn find(dead: &[u32]) -> u32 {
    dead.iter().map(|mouse| 1 << (mouse - 1)).sum()
}

fn main() -> Result<()> {
    let poisoned = env::args().nth(1).unwrap_or("127".into());
    let Ok(poisoned @ 1..=BOTTLES) = poisoned.parse() else {
        return Err(Failure::new(format!(
            "The bottles are numbered from 1 to {BOTTLES}, not {poisoned}."
        )));
    };

    let dead = week(MICE, BOTTLES, poisoned);
    println!("{poisoned:010b}: the mice {dead:?} died");
    println!("The poison was in bottle {}", find(&dead));
    Ok(())
}

#[cfg(test)]
#[path = "../../tests/exercises/poisoned_bottle.rs"]
mod tests;
