//! Memory that the allocator keeps.
#![allow(unsafe_code, reason = "only the C library can give it back")]

/// Gives memory that is free back to the system. The allocator keeps what threads that
/// have ended used, for threads to come.
pub(crate) fn give_back() {
    // SAFETY: takes a number and frees nothing that is in use. Of the C libraries of
    // Linux only glibc has it.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}
