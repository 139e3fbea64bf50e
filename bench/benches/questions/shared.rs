//! Is an array that processes share as fast as a slice, and what does a block of memory
//! with a name cost?

use std::ffi::CString;
use std::hint::black_box;
use std::process;
use std::time::Duration;

use bench::{Bench, Row, Scenario, sys};
use multiprocessing::{Array, RawArray, SharedMemory};

const QUESTION: &str = "shared";
const LENGTH: u64 = 4096;

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    array(bench)?;
    block(bench)
}

fn array(bench: &mut Bench) -> anyhow::Result<()> {
    let mut vec: Vec<u64> = (0..LENGTH).collect();
    let array = Array::new(0..LENGTH)?;
    let raw = RawArray::new(0..LENGTH)?;
    let scenario = Scenario::new(
        QUESTION,
        "array",
        "4096 numbers read and written, one by one",
        LENGTH * (LENGTH - 1) / 2,
    )
    .row(Row::timed("slice", || Ok(pass(black_box(&mut vec)))))
    .row(
        Row::timed("Array, locked once", || {
            Ok(array.with_lock(|numbers| pass(black_box(numbers))))
        })
        .python(format!("shared.locked_once {LENGTH}")),
    )
    .row(
        Row::timed("Array, locked each time", || {
            let mut sum = 0;
            for i in 0..array.len() {
                let number = array.lock()[i];
                array.lock()[i] = black_box(number);
                sum += number;
            }
            Ok(sum)
        })
        .python(format!("shared.locked_each {LENGTH}")),
    )
    .row(
        Row::timed("RawArray", || {
            let mut sum = 0;
            for slot in black_box(&raw).iter() {
                let number = slot.get();
                slot.set(black_box(number));
                sum += number;
            }
            Ok(sum)
        })
        .python(format!("shared.raw {LENGTH}")),
    )
    .quote(
        "`Array`, 4096 elements, locked once",
        "Array, locked once",
        ["slice"],
    )
    .says(|results| {
        Some(format!(
            "Under a lock that is taken once, an Array takes {} as long as a slice; with \
             the lock taken for each access, as Python takes it, {}.",
            results.times("Array, locked once", "slice")?,
            results.times("Array, locked each time", "slice")?
        ))
    });
    bench.scenario(scenario);
    Ok(())
}

/// Reads and writes each number. The compiler must leave none of it out.
fn pass(numbers: &mut [u64]) -> u64 {
    let mut sum = 0;
    for number in numbers {
        sum += *number;
        *number = black_box(*number);
    }
    sum
}

/// Makes a block, and removes it again.
fn block(bench: &mut Bench) -> anyhow::Result<()> {
    const SIZE: usize = 1 << 20;
    let name = CString::new(format!("bench-{}", process::id()))?;
    let scenario = Scenario::new(
        QUESTION,
        "block",
        "a block of 1 MiB with a name made and removed",
        SIZE as u64,
    )
    .budget(Duration::from_secs(1))
    .row(
        Row::timed(
            "SharedMemory",
            || Ok(SharedMemory::new(SIZE)?.size() as u64),
        )
        .python(format!("shared.block {SIZE}")),
    )
    .row(
        Row::timed("bare calls", || {
            sys::bare_block(&name, SIZE)?;
            Ok(SIZE as u64)
        })
        .limit()
        .note("the block stays behind if its maker is killed"),
    )
    .quote("`SharedMemory`, 1 MiB", "SharedMemory", ["bare calls"])
    .says(|results| {
        let times = results.times("SharedMemory", "bare calls")?;
        Some(format!(
            "SharedMemory takes {times} as long as the bare calls."
        ))
    })
    .says(|results| {
        let python = results.python("SharedMemory")?;
        Some(format!("Python's takes {python} as long as ours."))
    });
    bench.scenario(scenario);
    Ok(())
}
