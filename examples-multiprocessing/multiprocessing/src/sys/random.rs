//! Random bytes that nobody can guess.
#![allow(
    unsafe_code,
    reason = "std gives no access to the system's random bytes"
)]

/// 32 of them.
pub(crate) fn bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    let no_flags = 0;
    // SAFETY: the system writes at most as many bytes as `bytes` has.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), 32, no_flags) };
    // So few bytes come whole and without an error, says getrandom(2).
    assert_eq!(got, 32, "Linux gives random bytes to everybody");
    bytes
}
