//! The listings, run as a reader would run them. `file_copy.rs` and `broker.rs` stand alone
//! beside this folder.

mod distributed;
mod exchanging;
mod managers;
mod pooling;
mod process_information;
mod processes;
mod synchronising;
mod tempo;
