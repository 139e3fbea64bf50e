//! Divides each number of a list by the first, with pre- and postconditions.
//!
//! Listing D44, 达内 course notes, day02 面试题: 实现一个函数 f (exercise). The notes assert
//! the preconditions; here input that does not meet them is an error value, and only
//! the postconditions, which nothing but a bug can break, are asserted.

use std::fmt;

#[derive(Debug, PartialEq)]
enum DivideError {
    EmptyList,
    DivisionByZero,
}

impl fmt::Display for DivideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DivideError::EmptyList => "the list is empty: nothing to divide by",
            DivideError::DivisionByZero => "the first number must not be 0",
        })
    }
}

// Results are i64 because i32::MIN / -1 is no i32.
fn f(list: &[i32]) -> Result<Vec<i64>, DivideError> {
    let &first = list.first().ok_or(DivideError::EmptyList)?;
    if first == 0 {
        return Err(DivideError::DivisionByZero);
    }
    let quotients: Vec<_> = (list.iter())
        .map(|&number| floor_div(number.into(), first.into()))
        .collect();
    assert_eq!(quotients.len(), list.len());
    assert_eq!(quotients[0], 1);
    Ok(quotients)
}

// Python's `//` rounds down, Rust's `/` towards zero: -7 // 2 is -4, -7 / 2 is -3.
fn floor_div(number: i64, by: i64) -> i64 {
    let rounded_up = number % by != 0 && (number < 0) != (by < 0);
    number / by - i64::from(rounded_up)
}

fn main() {
    let test_cases: [&[i32]; 6] =
        [&[2, 4, 6, 7], &[-2, 7, -7], &[5], &[3, 0], &[0, 1, 2], &[]];
    for list in test_cases {
        match f(list) {
            Ok(quotients) => println!("{list:?} {quotients:?}"),
            Err(error) => println!("{list:?} {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
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
}
