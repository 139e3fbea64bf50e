//! Prints `Hello world`: the child program of listing N27, its `protest.py`.

fn main() {
    println!("Hello world");
}
