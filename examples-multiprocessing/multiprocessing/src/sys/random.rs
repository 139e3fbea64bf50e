//! Random bytes of the system, which cannot be guessed.
#![allow(
    unsafe_code,
    reason = "std gives no access to the system's random bytes"
)]

/// 32 random bytes.
pub(crate) fn bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    let no_flags = 0;
    // SAFETY: the system writes at most as many bytes as `bytes` has.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), 32, no_flags) };
    // A request of at most 256 bytes comes whole and without an error, says getrandom(2).
    assert_eq!(got, 32, "getrandom gives up to 256 bytes without an error");
    bytes
}
