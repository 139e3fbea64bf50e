//! One page that shows a reader's own copies of the tutorials beside their ports.
//!
//! The tutorials' text stays the reader's. The project holds titles, and fingerprints of
//! the listings' lines ([`Place`]), by which a [`Document`] is searched; what a listing
//! shows comes from the README's tables ([`rows`]), and [`page`] puts both into one HTML
//! file that needs nothing else.
#![forbid(unsafe_code)]

mod align;
mod catalogue;
mod highlight;
mod page;
mod places;

pub use catalogue::{Row, is_id, root, rows, text};
pub use page::{Page, page};
pub use places::{Document, Found, Place, Section, project_sections, sections};

/// What every function here that can fail returns: an error is one plain sentence.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
