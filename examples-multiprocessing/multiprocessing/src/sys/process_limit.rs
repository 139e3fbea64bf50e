//! How many processes the user of this one may have.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The limit, lowered until it is [restored](Self::restore): as long as it is, this process
/// can be forked only if there is room for some processes more.
pub(crate) struct Lowered {
    /// The limits of before; `None` if there is none.
    before: Option<(rlim_t, rlim_t)>,
}

impl Lowered {
    /// For this many processes more.
    pub(crate) fn by(processes: usize) -> Self {
        let before = getrlimit(Resource::RLIMIT_NPROC).ok();
        let before = before.filter(|(soft, _)| *soft != rlim_t::MAX);
        if let Some((soft, hard)) = before {
            let lowered = soft.saturating_sub(processes as rlim_t);
            // It cannot be refused, as the limit does not grow.
            setrlimit(Resource::RLIMIT_NPROC, lowered, hard).ok();
        }
        Self { before }
    }

    /// In this process, and in each that was forked meanwhile.
    pub(crate) fn restore(&self) {
        if let Some((soft, hard)) = self.before {
            // It cannot be refused, as the limit was lower than its own maximum before.
            setrlimit(Resource::RLIMIT_NPROC, soft, hard).ok();
        }
    }
}
