//! A function of this program as a number that can be sent to another process.
#![allow(
    unsafe_code,
    reason = "a function is found by its address, and made of its type"
)]

use std::ffi::c_void;
use std::{mem, ptr};

use super::spawn::Program;

/// How far from the program's beginning the code of a function lies, which is the same
/// in every process that runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Routine(usize);

/// How a function that has no state is run: from the bytes of a message to the bytes of
/// its answer.
pub(crate) trait Runner<F> {
    /// Runs it. `answer` is appended to.
    fn run(function: F, message: &[u8], answer: &mut Vec<u8>);
}

type Entry = fn(&[u8], &mut Vec<u8>);

impl Routine {
    /// The place of a function that has no state, to be run by `R`: a `fn` item, or a
    /// closure that captures nothing. `None` if its code is not in the program's own
    /// file, but in a library that may lie elsewhere in another process.
    pub(crate) fn of<F, R>(_function: &F) -> Option<Self>
    where
        F: Copy + Send + 'static,
        R: Runner<F>,
    {
        fn entry<F: Copy + Send + 'static, R: Runner<F>>(
            message: &[u8],
            answer: &mut Vec<u8>,
        ) {
            // SAFETY: an `F` has no bytes that could be wrong (`of` has seen to that),
            // and there is one: `of` was given it, and it may be copied and sent.
            let function: F = unsafe { ptr::NonNull::dangling().read() };
            R::run(function, message, answer);
        }
        const {
            assert!(
                size_of::<F>() == 0,
                "a pool's function must capture nothing, since only its code goes to \
                 the workers: give it what it needs as another argument, by `apply` \
                 or by `starmap` with tuples, or keep that in a `static`"
            );
        }
        let entry: Entry = entry::<F, R>;
        let program = Program::this();
        let place = entry as usize;
        (program.code.contains(&place)).then(|| Self(place - program.base))
    }

    /// The number to send.
    pub(crate) fn to_word(self) -> u64 {
        self.0 as u64
    }

    /// From a number that [`to_word`](Self::to_word) gave in a process of the same
    /// program, as messages between a pool and its workers carry it.
    pub(crate) fn from_word(word: u64) -> Self {
        Self(word as usize)
    }

    /// Runs the function. Returns whether the number names any code of this program.
    pub(crate) fn run(self, message: &[u8], answer: &mut Vec<u8>) -> bool {
        let program = Program::this();
        let Some(place) = (program.base.checked_add(self.0))
            .filter(|place| program.code.contains(place))
        else {
            return false;
        };
        let place = ptr::with_exposed_provenance::<c_void>(place);
        // SAFETY: `of` made the number from an `Entry`, in a process that ran the same
        // file: a pool's workers are forks of its maker, or of a copy of the program
        // that has compared the two.
        let entry = unsafe { mem::transmute::<*const c_void, Entry>(place) };
        entry(message, answer);
        true
    }
}
