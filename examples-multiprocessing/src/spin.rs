//! How long it pays to look again before going to sleep.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::sys::futex;

/// A budget of looks that adapts: doubled when one of them succeeded, halved when none
/// did. So two sides that answer at once never sleep, and where the other side is
/// slow, or waits for the very processor that this one is busy on, next to nothing is
/// spent. With one processor there is no look at all.
#[derive(Debug)]
pub(crate) struct Spin {
    budget: AtomicU32,
    /// What a sleep and its wake-up cost, in looks: more are never worth while.
    most: u32,
}

static PROCESSORS: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));

/// Finds out now what every process would otherwise at its first look: for one that is
/// about to fork many.
pub(crate) fn prepare() {
    LazyLock::force(&PROCESSORS);
    futex::spins();
}

/// Of the largest budget, so that a better time is noticed.
const LEAST: u32 = 32;

impl Spin {
    pub(crate) const fn new(most: u32) -> Self {
        Self {
            budget: AtomicU32::new(most),
            most,
        }
    }

    /// Looks until one look gives something or the budget is spent.
    pub(crate) fn until<R>(&self, mut look: impl FnMut() -> Option<R>) -> Option<R> {
        if *PROCESSORS == 1 {
            return None;
        }
        let budget = self.budget.load(Ordering::Relaxed);
        for _ in 0..budget {
            std::hint::spin_loop();
            if let Some(found) = look() {
                let more = budget.saturating_mul(2).min(self.most);
                self.budget.store(more, Ordering::Relaxed);
                return Some(found);
            }
        }
        let less = (budget / 2).max(self.most / LEAST);
        self.budget.store(less, Ordering::Relaxed);
        None
    }
}
