//! Adds one to the first word of the line that it reads.
//!
//! The child program of listing N30, its `protest9.py`.

use std::io;

use tutorial::{Failure, Result};

fn main() -> Result<()> {
    let mut a = String::new();
    io::stdin().read_line(&mut a)?;
    let mut a: Vec<String> = a.trim_end().split(' ').map(String::from).collect();
    let Ok(first) = a[0].parse::<i64>() else {
        return Err(Failure::new(format!(
            "The first word of the line must be a number, not {:?}.",
            a[0]
        )));
    };
    a[0] = (i128::from(first) + 1).to_string();
    println!("{}", a.join(" "));
    Ok(())
}
