//! The listings, run as a reader would run them. `cores.rs` stands alone beside this
//! folder, because it measures the machine.

mod balances;
mod booths;
mod clocks;
mod conversations;
mod coroutines;
mod counters;
mod deadlocks;
mod exercises;
mod queues;
mod rlocks;
mod rooms;
mod shared_data;
mod squares;
mod students;
mod tempo;
mod threads;
mod waiting;
