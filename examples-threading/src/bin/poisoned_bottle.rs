//! One of 1000 bottles is poisoned; ten mice find it in one week.
//!
//! Listing D45, 达内 course notes, day02 面试题: 1000 个一模一样的瓶子 (exercise). Bottle
//! and mice are numbered from 1. Mouse k drinks from each bottle whose number has bit
//! k, so the dead mice spell the number. `poisoned_bottle [BOTTLE]` poisons another
//! one than the notes' 127.

use std::{env, process};

const BOTTLES: u32 = 1000;
const MICE: u32 = 10;

fn drinks(mouse: u32, bottle: u32) -> bool {
    bottle >> (mouse - 1) & 1 == 1
}

/// The mice that are dead after the week.
fn week(mice: u32, bottles: u32, poisoned: u32) -> Vec<u32> {
    // Less than all mice's bits, or a bottle would have no pattern of its own.
    assert!(u64::from(bottles) < 1 << mice, "too few mice");
    let dies = |&mouse: &u32| {
        (1..=bottles).any(|bottle| drinks(mouse, bottle) && bottle == poisoned)
    };
    (1..=mice).filter(dies).collect()
}

/// The bottle that killed exactly these mice.
fn find(dead: &[u32]) -> u32 {
    dead.iter().map(|mouse| 1 << (mouse - 1)).sum()
}

fn main() {
    let poisoned = env::args().nth(1).unwrap_or("127".into());
    let Some(poisoned) =
        (poisoned.parse().ok()).filter(|bottle| (1..=BOTTLES).contains(bottle))
    else {
        eprintln!("The bottles are numbered from 1 to {BOTTLES}, not {poisoned}.");
        process::exit(2)
    };

    let dead = week(MICE, BOTTLES, poisoned);
    println!("{poisoned:010b}: the mice {dead:?} died");
    println!("The poison was in bottle {}", find(&dead));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BOTTLES, MICE, find, week};

    #[test]
    fn any_of_the_thousand_is_found() {
        for poisoned in 1..=BOTTLES {
            assert_eq!(find(&week(MICE, BOTTLES, poisoned)), poisoned);
        }
    }

    fn mice_and_bottles() -> impl Strategy<Value = (u32, u32, u32)> {
        (1..=16_u32)
            .prop_flat_map(|mice| (Just(mice), 1..1_u32 << mice))
            .prop_flat_map(|(mice, bottles)| {
                (Just(mice), Just(bottles), 1..=bottles)
            })
    }

    proptest! {
        #[test]
        fn any_bottle_is_found_by_as_many_mice_as_its_number_has_bits(
            (mice, bottles, poisoned) in mice_and_bottles(),
        ) {
            prop_assert_eq!(find(&week(mice, bottles, poisoned)), poisoned);
        }
    }
}
