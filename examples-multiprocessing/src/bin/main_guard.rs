//! Code that runs as a program, and code that others use.
//!
//! Listing D14, 达内 course notes, 这句话的含义. Python runs a file from the top whether it
//! is started or imported, so the file must ask which it is. In Rust nothing runs
//! because a module is used, and a program begins at its `main`: what Python's file
//! does on import must be called here.

mod test {
    /// What stands outside the guard in `test.py`.
    pub(crate) fn on_import(name: &str) {
        println!("I'm the first.");
        println!("{name}");
    }

    /// What stands inside it.
    pub(crate) fn main() {
        println!("I'm the second.");
    }
}

fn test_py() {
    test::on_import("__main__");
    test::main();
}

fn import_test_py() {
    test::on_import("test");
}

fn main() {
    println!("> python test.py");
    test_py();
    println!("> python import_test.py");
    import_test_py();
}
