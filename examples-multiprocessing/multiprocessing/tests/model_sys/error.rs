//! The errors that the models' code makes. The library's own type names every layer.

use std::io;

/// In the place of `multiprocessing::Error`.
#[derive(Debug)]
#[allow(dead_code, reason = "one model makes both, and none reads them")]
pub enum Error {
    /// The system refused.
    System {
        /// The operation.
        doing: &'static str,
        /// Its reason.
        source: io::Error,
    },
    /// A barrier for too many.
    TooManyParties {
        /// The largest number.
        most: usize,
    },
}

impl Error {
    pub(crate) fn system<E: Into<io::Error>>(
        doing: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::System {
            doing,
            source: source.into(),
        }
    }
}
