//! The subprocess section: `call`, `check_output`, `Popen`, pipes and `communicate`,
//! ported to [`std::process`]. Its listings and library are not written yet.
#![forbid(unsafe_code)]
