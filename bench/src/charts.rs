//! What the charts show: the times of a scenario, how it gains from workers, where the
//! lines of a question cross, and the pictures of the project's page.

use crate::chart::{
    COLOURS, Dot, DotChart, DotRow, Line as ChartLine, LineChart, Mark, Shape, Style,
};
use crate::comparison::{Comparison, comparisons};
use crate::parallel::Placement;
use crate::record::Record;
use crate::results::{Line, Quoted, Results, Role};
use crate::statistics::Ratio;
use crate::summary::MARK;

/// The style of each contender, the same in all charts.
pub(crate) struct Styles(Vec<(String, Style)>);

impl Styles {
    /// Each contender in turn gets the first style that is free: that no contender of the
    /// same chart has.
    pub(crate) fn of(results: &[Results]) -> Self {
        let beside = |a: &str, b: &str| {
            results.iter().any(|result| {
                let named = |name| result.lines.iter().any(|line| line.name == name);
                named(a) && named(b)
            })
        };
        let all = || {
            Shape::ALL.into_iter().flat_map(|shape| {
                (0..COLOURS).map(move |colour| Style { colour, shape })
            })
        };
        let mut styles: Vec<(String, Style)> = Vec::new();
        for line in results.iter().flat_map(|result| &result.lines) {
            if styles.iter().any(|(name, _)| *name == line.name) {
                continue;
            }
            let taken: Vec<Style> = styles
                .iter()
                .filter(|(name, _)| beside(name, &line.name))
                .map(|(_, style)| *style)
                .collect();
            // With so many contenders, the first style is there once more.
            let free = all().find(|style| !taken.contains(style));
            let style = free.or_else(|| all().next());
            styles.extend(style.map(|style| (line.name.clone(), style)));
        }
        Self(styles)
    }

    /// How a row is marked in a column: Rust, then the Pythons.
    fn mark(&self, line: &Line, column: usize) -> Mark {
        let known = self.0.iter().find(|(name, _)| *name == line.name);
        match (line.role, known) {
            (Role::Contender, Some((_, style))) if column == 0 => Mark::Rust(*style),
            (Role::Contender, Some((_, style))) => Mark::Python(*style),
            _ => Mark::Bar,
        }
    }
}

/// The times of a scenario's rows, in Rust and in Python, on one axis.
pub(crate) fn dots(results: &Results, styles: &Styles) -> Option<DotChart> {
    let rows: Vec<DotRow> = results
        .lines
        .iter()
        .filter(|line| line.role != Role::Ceiling)
        .filter_map(|line| {
            let cells = line.cells.iter().enumerate();
            let dots: Vec<Dot> = cells
                .filter_map(|(column, cell)| {
                    Some(Dot {
                        name: results.language(column).to_owned(),
                        mark: styles.mark(line, column),
                        middle: cell.middle()?,
                    })
                })
                .collect();
            let python = results.python(&line.label());
            (!dots.is_empty()).then(|| DotRow {
                // The text beside the chart says so for all rows.
                doubtful: false,
                label: match line.workers {
                    None => line.name.clone(),
                    Some(1) => format!("{}, 1 worker", line.name),
                    Some(many) => format!("{}, {many} workers", line.name),
                },
                aside: match line.role {
                    Role::Limit => "a limit".into(),
                    Role::Contender | Role::Ceiling => String::new(),
                },
                remark: python.map_or(String::new(), Ratio::short),
                dots,
            })
        })
        .collect();
    (!rows.is_empty()).then_some(DotChart { rows })
}

/// Gathers the points of lines by the lines' names.
#[derive(Default)]
struct Points(Vec<ChartLine>);

impl Points {
    fn add(&mut self, name: String, mark: Mark, x: f64, ratio: Ratio) {
        let point = (x, ratio.middle());
        match self.0.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => self.0.push(ChartLine {
                name,
                mark,
                points: vec![point],
            }),
        }
    }

    /// A chart of those that are more than a point, if a contender is among them.
    fn chart(mut self, title: String, x: &str, y: String) -> Option<LineChart> {
        self.0.retain(|line| line.points.len() > 1);
        let contends = |line: &ChartLine| line.mark != Mark::Bar;
        self.0.iter().any(contends).then(|| LineChart {
            title,
            x: x.into(),
            y,
            lines: self.0,
        })
    }
}

/// How the contenders of a scenario gain from workers.
pub(crate) fn scaling(results: &Results, styles: &Styles) -> Option<LineChart> {
    let mut points = Points::default();
    for column in 0..=results.pythons.len() {
        for line in &results.lines {
            let (Some(workers), Some(faster)) =
                (line.workers, results.speed_up(line, column))
            else {
                continue;
            };
            let name = match column {
                0 => line.name.clone(),
                _ => format!("{} in {}", line.name, results.language(column)),
            };
            points.add(name, styles.mark(line, column), workers as f64, faster);
        }
    }
    let baseline = results.baseline()?.label();
    points.chart(
        format!("By more workers: {}", results.work),
        "workers",
        format!("times as fast as {baseline} of the same language"),
    )
}

/// The charts of a question whose scenarios lie on an axis.
pub(crate) fn crossovers(results: &[&Results], styles: &Styles) -> Vec<LineChart> {
    let mut axes: Vec<&str> = Vec::new();
    for (axis, _) in results.iter().filter_map(|result| result.at.as_ref()) {
        if !axes.contains(&axis.as_str()) {
            axes.push(axis);
        }
    }
    let chart = |axis| {
        let mut points = Points::default();
        let mut baseline = None;
        for result in results {
            let Some((_, x)) = result.at.as_ref().filter(|at| at.0 == axis) else {
                continue;
            };
            baseline = baseline.or(result.baseline());
            let lines = result.lines.iter();
            for line in lines.filter(|line| line.role != Role::Ceiling) {
                if let Some(faster) = result.speed_up(line, 0) {
                    points.add(line.label(), styles.mark(line, 0), *x, faster);
                }
            }
        }
        let y = format!("times as fast as {}", baseline?.label());
        points.chart(format!("By {axis}"), axis, y)
    };
    axes.into_iter().filter_map(chart).collect()
}

/// A picture of the project's page: what it quotes of a question, not pinned.
pub(crate) struct Picture {
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    question: &'static str,
}

/// In the order in which the page shows them.
pub(crate) const PICTURES: [Picture; 4] = [
    Picture {
        file: "threads_and_processes",
        title: "One thread, several threads, processes",
        question: "threads_vs_processes",
    },
    Picture {
        file: "pool",
        title: "A pool of processes at work",
        question: "pool",
    },
    Picture {
        file: "queues_and_pipes",
        title: "Queues and pipes",
        question: "queues",
    },
    Picture {
        file: "starting",
        title: "Starting processes and pools",
        question: "start",
    },
];

/// How a picture marks the library.
const HERE: Mark = Mark::Rust(Style {
    colour: 0,
    shape: Shape::Circle,
});
/// How it marks Python's counterpart.
const CPYTHON: Mark = Mark::Python(Style {
    colour: 1,
    shape: Shape::Circle,
});

/// What the marks of a picture mean.
pub(crate) const PICTURE_LEGEND: [(Mark, &str); 3] =
    [(HERE, "here"), (CPYTHON, "CPython"), (Mark::Bar, "beside")];

/// What the mark of a doubtful row means.
pub(crate) const DOUBTFUL: &str = "† measured with fewer cores at times";

impl Picture {
    /// `None` if nothing of it was measured.
    pub(crate) fn dots(&self, record: &Record) -> Option<DotChart> {
        let rows: Vec<DotRow> = comparisons(record)
            .iter()
            .filter(|comparison| {
                comparison.question == self.question
                    && comparison.placement == Placement::Free
                    && comparison.of == Quoted::Median
            })
            .map(compared)
            .collect();
        (!rows.is_empty()).then_some(DotChart { rows })
    }
}

fn compared(comparison: &Comparison<'_>) -> DotRow {
    let dot = |name: &str, mark, middle| Dot {
        name: name.into(),
        mark,
        middle,
    };
    let mut dots = vec![dot("here", HERE, comparison.ours)];
    dots.extend(comparison.python.map(|it| dot("CPython", CPYTHON, it)));
    let beside = comparison.beside.iter();
    dots.extend(beside.map(|it| dot(it.label, Mark::Bar, it.middle)));
    let labels: Vec<&str> = comparison.beside.iter().map(|it| it.label).collect();
    let mark = if comparison.doubtful { MARK } else { "" };
    let ratio = comparison.python.map(|it| Ratio::new(it, comparison.ours));
    DotRow {
        doubtful: comparison.doubtful,
        label: format!("{}{mark}", comparison.what.replace('`', "")),
        aside: labels.join(" · "),
        remark: ratio.map_or(String::new(), Ratio::short),
        dots,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{line, results};

    fn contender(name: &str, workers: u64, median: f64) -> Line {
        Line {
            workers: Some(workers),
            ..line(name, Role::Contender, median)
        }
    }

    #[test]
    fn two_contenders_of_one_chart_are_told_apart() {
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let lines = names.iter().map(|name| line(name, Role::Contender, 1.0));
        let styles = Styles::of(&[
            results(vec![line("alone", Role::Contender, 1.0)]),
            results(lines.collect()),
        ]);
        let style = |name: &str| {
            let found = styles.0.iter().find(|(other, _)| other == name);
            found.unwrap().1
        };
        for (number, name) in names.iter().enumerate() {
            for other in &names[number + 1..] {
                assert_ne!(style(name), style(other), "{name} and {other}");
            }
        }
        // A contender that is in no chart with another one may have the same style.
        assert_eq!(style("alone"), style("0"));
    }

    #[test]
    fn a_line_has_the_speed_up_of_each_number_of_workers() {
        let results = results(vec![
            line("one thread", Role::Contender, 100.0),
            contender("threads", 1, 100.0),
            contender("threads", 2, 50.0),
            contender("single", 2, 50.0),
        ]);
        let styles = Styles::of(std::slice::from_ref(&results));
        let chart = scaling(&results, &styles).unwrap();
        let names: Vec<&str> =
            chart.lines.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["threads"]);
        let points: Vec<(f64, f64)> = (chart.lines[0].points.iter())
            .map(|(workers, middle)| (*workers, middle.median))
            .collect();
        assert_eq!(points, [(1.0, 1.0), (2.0, 2.0)]);
        let middle = chart.lines[0].points[1].1;
        assert!(middle.low < 2.0 && middle.high > 2.0);
    }

    #[test]
    fn where_lines_cross_is_shown_over_their_axis() {
        let at = |x, map| {
            let mut results = results(vec![
                line("one thread", Role::Contender, 100.0),
                line("map", Role::Contender, map),
            ]);
            results.at = Some(("length".into(), x));
            results
        };
        let all = [at(1.0, 400.0), at(10.0, 50.0)];
        let styles = Styles::of(&all);
        let charts = crossovers(&all.iter().collect::<Vec<_>>(), &styles);
        assert_eq!(charts.len(), 1);
        let map = &charts[0].lines[1];
        let points = map.points.iter().map(|(x, it)| (*x, it.median));
        assert_eq!(points.collect::<Vec<_>>(), [(1.0, 0.25), (10.0, 2.0)]);
    }
}
