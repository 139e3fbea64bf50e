//! `+=` on a number in shared memory loses updates unless its lock is held.
//!
//! Listing D59, 达内 course notes, `money.value += 1` and 操作就像+= (prose). A `Value`
//! locks each read and each write, but not the two together. With `lock=False` it is
//! a `RawValue`, which locks neither.

use multiprocessing::{Array, Process, RawValue, Value};
use tutorial::Result;

/// So many that two processes meet, even if they have to share one processor.
const ROUNDS: u32 = 1_000_000;

fn twice(add_one: impl Fn()) -> Result<()> {
    let mut processes = Vec::new();
    for _ in 0..2 {
        let mut p = Process::new(|| {
            for _ in 0..ROUNDS {
                add_one();
            }
        });
        p.start()?;
        processes.push(p);
    }
    for p in processes {
        p.join()?;
    }
    Ok(())
}

fn main() -> Result<()> {
    println!("2 * {ROUNDS} times += 1");

    let value = &Value::new(0)?;
    twice(|| value.set(value.get() + 1))?; // Python: value.value += 1
    println!("Value: {}", value.get());

    value.set(0);
    twice(|| *value.lock() += 1)?; // Python: with value.get_lock(): value.value += 1
    println!("Value, under its lock: {}", value.get());

    let value = &RawValue::new(0)?; // Python: Value('i', 0, lock=False)
    twice(|| value.set(value.get() + 1))?;
    println!("RawValue: {}", value.get());

    let by_size = Array::<i32>::zeroed(3)?; // Python: Array('i', 3)
    let by_values = Array::new([1, 2, 3])?; // Python: Array('i', [1, 2, 3])
    println!("Array: {:?} and {:?}", by_size.to_vec(), by_values.to_vec());
    Ok(())
}
