//! Much input and output: alone in its process, whose memory it measures.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Stdio};

use subprocess::Popen;
use tutorial::harness::Watchdog;

const MIB: usize = 1 << 20;
const SIZE: usize = 256 * MIB;

/// What this process holds of memory (`VmRSS:`) or has held at most (`VmHWM:`), in MiB.
fn memory(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: usize = memory
        .and_then(|memory| memory.trim().strip_suffix(" kB"))
        .and_then(|memory| memory.parse().ok())
        .unwrap();
    kib / 1024
}

#[test]
fn communicate_moves_256_mib_through_cat_and_holds_no_more() {
    let _watchdog = Watchdog::start();
    // A length that shares no factor with any buffer's, so that a lost or repeated
    // piece shows.
    let pattern: Vec<u8> = (0..1_000_003_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut input = pattern.repeat(SIZE / pattern.len() + 1);
    input.truncate(SIZE);
    // `repeat` made a few bytes more than are sent.
    input.shrink_to_fit();
    let before = memory("VmHWM:");
    let mut child = Popen::new(
        Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    )
    .unwrap();
    let (out, err) = child.communicate(input).unwrap();
    let peak = memory("VmHWM:") - before;
    let now = memory("VmRSS:");
    let out = out.unwrap();
    assert_eq!((out.len(), err), (SIZE, None));
    let mut pieces = out.chunks(pattern.len());
    assert!(pieces.all(|piece| piece == &pattern[..piece.len()]));
    assert_eq!(child.returncode(), Some(0));
    println!(
        "256 MiB each way: {peak} MiB beside the input, {now} MiB left of both"
    );
    assert!(peak < 256 + 16, "{peak} MiB beside the input");
    assert!(now < 256 + 32, "the input is still held: {now} MiB");
}
