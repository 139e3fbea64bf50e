//! The signal section: handlers, alarms, sending and blocking signals, ported to
//! signal-hook and nix. Its listings are not written yet.
#![forbid(unsafe_code)]
