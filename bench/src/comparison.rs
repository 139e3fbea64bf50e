//! The comparisons that the project's page quotes.

use crate::parallel::Placement;
use crate::record::Record;
use crate::results::{Cell, Line, Quote, Quoted, Results, Role};
use crate::statistics::Middle;

/// A quote with its figures.
pub(crate) struct Comparison<'r> {
    pub(crate) question: &'r str,
    pub(crate) what: &'r str,
    pub(crate) placement: Placement,
    pub(crate) of: Quoted,
    pub(crate) ours: Middle,
    /// In the first Python in which it was measured.
    pub(crate) python: Option<Middle>,
    pub(crate) beside: Vec<Beside<'r>>,
    /// Whether nothing is to be concluded from it about several workers.
    pub(crate) doubtful: bool,
}

pub(crate) struct Beside<'r> {
    pub(crate) label: &'r str,
    pub(crate) role: Role,
    pub(crate) middle: Middle,
}

/// All that were measured, in the order of the run.
pub(crate) fn comparisons(record: &Record) -> Vec<Comparison<'_>> {
    let results = record.results.iter();
    let quotes = results.flat_map(|results| {
        let doubtful = record.doubt(results).is_some();
        let quotes = results.quotes.iter();
        quotes.filter_map(move |quote| compare(results, quote, doubtful))
    });
    quotes.collect()
}

fn compare<'r>(
    results: &'r Results,
    quote: &'r Quote,
    doubtful: bool,
) -> Option<Comparison<'r>> {
    let middles = |line: &Line| {
        let (ours, theirs) = quote.of.cells(line).split_first()?;
        Some((ours.middle()?, theirs.iter().find_map(Cell::middle)))
    };
    let (ours, python) = middles(results.line(&quote.ours)?)?;
    let beside = quote.beside.iter().filter_map(|label| {
        let line = results.line(label)?;
        Some(Beside {
            label,
            role: line.role,
            middle: middles(line)?.0,
        })
    });
    Some(Comparison {
        question: &results.question,
        what: &quote.what,
        placement: results.placement,
        of: quote.of,
        ours,
        python,
        beside: beside.collect(),
        doubtful,
    })
}
