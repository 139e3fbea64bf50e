//! Properties of the listing D45, `src/bin/poisoned_bottle.rs`.

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
        .prop_flat_map(|(mice, bottles)| (Just(mice), Just(bottles), 1..=bottles))
}

proptest! {
    #[test]
    fn any_bottle_is_found_by_as_many_mice_as_its_number_has_bits(
        (mice, bottles, poisoned) in mice_and_bottles(),
    ) {
        prop_assert_eq!(find(&week(mice, bottles, poisoned)), poisoned);
    }
}
