//! `Debug` shows a value to the programmer, `Display` to the user.
//!
//! Listing D19, 达内 course notes, Repr 和 str 区别. Python falls back from `__str__` to
//! `__repr__` to a memory address. Rust shows only what somebody wrote: `Debug` can
//! be derived, and a type without `Display` does not print by `{}`.

use std::fmt;

#[derive(Debug)]
struct Test {
    #[expect(dead_code, reason = "only the derived Debug reads it")]
    data: &'static str,
}

struct TestRepr {
    data: &'static str,
}

impl fmt::Debug for TestRepr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestRepr({})", self.data)
    }
}

// Python overrides __repr__, and print falls back to it. In Rust that must be
// written.
impl fmt::Display for TestRepr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[derive(Debug)]
struct TestStr {
    data: &'static str,
}

// Python overrides __str__.
impl fmt::Display for TestStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[Value: {}]", self.data)
    }
}

fn main() {
    let data = "hello, world!";

    let t = Test { data };
    println!("{t:?}");

    let tr = TestRepr { data };
    println!("{tr:?}");
    println!("{tr}");

    let ts = TestStr { data };
    println!("{ts:?}");
    println!("{ts}");
}
