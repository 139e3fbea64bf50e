//! A car park with three spaces and five cars: two wait at the barrier.
//!
//! Listing D34, 达内 course notes, 停车场系统 (prose).

use multiprocessing::{Process, Semaphore, current_process};
use tutorial::{Result, sleep};

fn car(spaces: &Semaphore) {
    // Given back even if the process is killed.
    let space = spaces.permit();
    println!("{} parks", current_process().name());
    sleep(1.0);
    println!("{} leaves", current_process().name());
    drop(space);
}

fn main() -> Result<()> {
    let spaces = &Semaphore::new(3)?;

    let mut cars = Vec::new();
    for i in 1..=5 {
        let name = format!("car {i}");
        let mut p = Process::builder().name(name).target(|| car(spaces));
        p.start()?;
        cars.push(p);
    }
    for p in cars {
        p.join()?;
    }
    println!("{} spaces", spaces.get_value());
    Ok(())
}
