//! The listings, run as a reader would run them.

mod calls;
mod missing_programs;
mod popens;
mod stand_ins;
