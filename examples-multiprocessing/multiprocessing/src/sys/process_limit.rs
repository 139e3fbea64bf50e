//! How many processes the user of this one may have.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The limit, lowered until it is [restored](Self::restore). Until then, this process can
/// be forked only if the user may have some further processes as well.
pub(crate) struct Lowered {
    /// The limits as they were before; `None` if there is none.
    before: Option<(rlim_t, rlim_t)>,
}

impl Lowered {
    /// Lowers the limit by this many processes.
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

    /// Sets the limit back, in the calling process: this one, and each that was forked
    /// meanwhile, has a limit of its own.
    pub(crate) fn restore(&self) {
        if let Some((soft, hard)) = self.before {
            // It cannot be refused, as the limit was lower than its own maximum before.
            setrlimit(Resource::RLIMIT_NPROC, soft, hard).ok();
        }
    }
}
