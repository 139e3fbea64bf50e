//! Which named blocks this process has made, so that none outlives it.
//!
//! Each process that makes named blocks has a [`watcher`], which removes the blocks that
//! the process has not removed itself when it ends, however it ends: Python's
//! `resource_tracker`.
//!
//! Every block has a random name of its own. A name that the user gave is a second one, a
//! link. So there is no moment at which the watcher could take a
//! stranger's block of the same name for its owner's: it compares the two.

use std::sync::Mutex;

use crate::error::Error;
use crate::poison::lock_unpoisoned;
use crate::registry;
use crate::sys::random;
use crate::sys::segment::Shared;
use crate::sys::watcher::{self, List, PREFIX};

/// What the calling process knows of its blocks. A forked child begins with none.
struct ResourceTracker {
    /// The process that it belongs to: see [`registry::generation`].
    generation: u32,
    /// Each with a watcher; a further one is made when they are full.
    lists: Vec<Shared<List>>,
}

static TRACKER: Mutex<Option<ResourceTracker>> = Mutex::new(None);

/// A block that is tracked until this is dropped, which must be after the block was
/// removed.
#[derive(Debug)]
pub(crate) struct Tracked {
    list: Shared<List>,
    index: usize,
    /// A forked child must not strike out its parent's.
    generation: u32,
    number: u64,
}

impl Tracked {
    /// Tracks a block that is about to be made and has this number, which is not 0: that is
    /// a free entry. If the block cannot be made because there is one of that number, drop
    /// this and try another.
    pub(crate) fn new(name: &str, number: u64) -> Result<Self, Error> {
        let mut tracker = lock_unpoisoned(&TRACKER);
        let generation = registry::generation();
        if (tracker.as_ref()).is_some_and(|known| known.generation != generation) {
            *tracker = None;
        }
        let tracker = tracker.get_or_insert_with(|| ResourceTracker {
            generation,
            lists: Vec::new(),
        });
        let free = tracker
            .lists
            .iter()
            .find_map(|list| Some((list.clone(), list.free_entry()?)));
        let (list, index) = if let Some(free) = free {
            free
        } else {
            let list = Shared::<List>::zeroed(0)?;
            watcher::start(&list).map_err(Error::system(
                "start the process that removes shared memory after this one's end",
            ))?;
            tracker.lists.push(list.clone());
            (list, 0)
        };
        list.enter(index, number, name);
        Ok(Self {
            list,
            index,
            generation,
            number,
        })
    }

    /// Whether the calling process made the block; a fork of that process did not.
    pub(crate) fn is_mine(&self) -> bool {
        self.generation == registry::generation()
    }

    /// The name that this block has and no other.
    pub(crate) fn own_name(&self) -> String {
        format!("{PREFIX}{:016x}", self.number)
    }
}

/// A number for a block, which is another each time.
pub(crate) fn random_number() -> u64 {
    let mut number = [0; size_of::<u64>()];
    number.copy_from_slice(&random::bytes()[..size_of::<u64>()]);
    u64::from_ne_bytes(number).max(1)
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if self.is_mine() {
            self.list.strike_out(self.index);
        }
    }
}
