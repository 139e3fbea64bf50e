//! Properties of the listing D44, `src/bin/divide_by_first.rs`.

use proptest::prelude::*;

use super::{DivideError, f};

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![-9..=9, any::<i32>(), Just(i32::MIN), Just(i32::MAX)]
}

proptest! {
    #[test]
    fn each_quotient_is_rounded_down(
        first in number().prop_filter("no division by zero", |&n| n != 0),
        rest in prop::collection::vec(number(), 0..20),
    ) {
        let mut list = vec![first];
        list.extend(rest);
        let quotients = f(&list).unwrap();
        prop_assert_eq!(quotients.len(), list.len());
        let first = i64::from(first);
        for (number, quotient) in list.into_iter().zip(quotients) {
            let rest = i64::from(number) - quotient * first;
            let rounded_down = rest.abs() < first.abs() && rest * first >= 0;
            prop_assert!(rounded_down, "{number} / {first} is not {quotient}");
        }
    }

    #[test]
    fn a_division_by_zero_is_an_error(
        rest in prop::collection::vec(number(), 0..20),
    ) {
        let mut list = vec![0];
        list.extend(rest);
        prop_assert_eq!(f(&list), Err(DivideError::DivisionByZero));
    }
}

#[test]
fn an_empty_list_is_an_error() {
    assert_eq!(f(&[]), Err(DivideError::EmptyList));
}
