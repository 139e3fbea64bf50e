//! Divides each number of a list by the first, with pre- and postconditions.
//!
//! Listing D44, 达内 course notes, 实现一个函数 f (exercise). The notes assert the
//! preconditions. Here input that does not meet them is an error value, and only the
//! postconditions, which nothing but a bug can break, are asserted.

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

// Results are i64 because i32::MIN / -1 does not fit in an i32.
fn f(list: &[i32]) -> Result<Vec<i64>, DivideError> {
    let &first = list.first().ok_or(DivideError::EmptyList)?;
    if first == 0 {
        return Err(DivideError::DivisionByZero);
    }
    let mut quotients = Vec::new();
    for &number in list {
        quotients.push(floor_div(number.into(), first.into()));
    }
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
#[path = "../../tests/exercises/divide_by_first.rs"]
mod tests;
