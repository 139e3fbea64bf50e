//! A method that is overridden, and one that takes arguments of several types.
//!
//! Listing D20, 达内 course notes, day01 override and overload (prose). Rust overrides
//! the default method of a trait, not of a parent class; it has one function for a
//! name, which a trait on the argument's type makes as good as several.

use std::fmt::Display;

trait Animal {
    fn name(&self) -> String;

    /// What an implementation may override.
    fn speak(&self) -> String {
        format!("{} says nothing", self.name())
    }
}

struct Fish;

impl Animal for Fish {
    fn name(&self) -> String {
        "Fish".into()
    }
}

struct Dog;

impl Animal for Dog {
    fn name(&self) -> String {
        "Dog".into()
    }

    fn speak(&self) -> String {
        format!("{} says woof", self.name())
    }
}

/// The lists of arguments that `describe` is overloaded for.
trait Arguments {
    fn describe(self) -> String;
}

impl Arguments for i32 {
    fn describe(self) -> String {
        format!("an integer: {self}")
    }
}

impl Arguments for (i32, f64) {
    fn describe(self) -> String {
        format!("an integer and a float: {}, {}", self.0, self.1)
    }
}

fn describe(arguments: impl Arguments) -> String {
    arguments.describe()
}

/// One function for every type that can be shown.
fn twice<T: Display>(value: T) -> String {
    format!("{value} {value}")
}

fn main() {
    // Which body runs is the value's type's choice, known only at run time.
    let animals: [Box<dyn Animal>; 2] = [Box::new(Fish), Box::new(Dog)];
    for animal in animals {
        println!("{}", animal.speak());
    }
    // Which body runs is the arguments' types' choice, known to the compiler.
    println!("{}", describe(1));
    println!("{}", describe((1, 2.5)));
    println!("{}", twice("a"));
    println!("{}", twice(1));
}
