//! The listings, run as a reader would run them.

mod alarms;
mod handlers;
mod sending;
