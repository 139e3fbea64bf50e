//! A method that is overridden, and one that takes arguments of several types.
//!
//! Listing D20, 达内 course notes, override 可以翻译为覆盖 (prose, of Java). Rust overrides
//! the default method of a trait, not of a parent class. It has one function for a
//! name; a trait on the types of its arguments makes that as good as several. Python
//! has no overloading: a second `def` of a name replaces the first.

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

/// The same types in another order are another list.
impl Arguments for (f64, i32) {
    fn describe(self) -> String {
        format!("a float and an integer: {}, {}", self.0, self.1)
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
    // The type of the value decides which body runs. It is known only at run time.
    let animals: [Box<dyn Animal>; 2] = [Box::new(Fish), Box::new(Dog)];
    for animal in animals {
        println!("{}", animal.speak());
    }
    // The types of the arguments decide which body runs. The compiler knows them.
    println!("{}", describe(1));
    println!("{}", describe((1, 2.5)));
    println!("{}", describe((2.5, 1)));
    println!("{}", twice("a"));
    println!("{}", twice(1));
}
