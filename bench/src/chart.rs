//! Charts as SVG. Their colours are classes and variables of `chart.css`.
//!
//! Places along the x axis are percentages, so that the same chart fits a telephone and
//! a desk without a change of the size of its text.

use maud::{Markup, html};

use crate::statistics::{Middle, round_time, time};

/// What the classes of a chart look like.
pub(crate) const STYLE: &str = include_str!("chart.css");

/// The variables of [`STYLE`] on a light ground, and on a dark one.
pub(crate) const LIGHT: &str = "--ink:#1f2328;--soft:#59636e;--rule:#d1d9e0;\
    --paper:#fff;--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#d18f00;\
    --c5:#3d9fd8;--c6:#1f2328";
pub(crate) const DARK: &str = "--ink:#e6edf3;--soft:#9198a1;--rule:#30363d;\
    --paper:#0d1117;--c0:#3d9fd8;--c1:#f0883e;--c2:#1fc796;--c3:#e29cc4;--c4:#f0c541;\
    --c5:#a5d8ff;--c6:#e6edf3";

/// How many colours there are: those of Okabe and Ito, which are told apart by the
/// colour-blind, see <https://jfly.uni-koeln.de/color/>. Their yellow is too pale on
/// white, and their black is the colour of the text.
pub(crate) const COLOURS: usize = 7;

/// How a contender is marked. Two contenders of one chart differ in the colour or in
/// the shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) colour: usize,
    pub(crate) shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Circle,
    Square,
    Diamond,
    Triangle,
}

impl Shape {
    pub(crate) const ALL: [Self; 4] =
        [Self::Circle, Self::Square, Self::Diamond, Self::Triangle];

    fn path(self) -> &'static str {
        match self {
            Self::Circle => "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
            Self::Square => "M-4-4h8v8h-8z",
            Self::Diamond => "M0-5.5l5.5 5.5l-5.5 5.5l-5.5-5.5z",
            Self::Triangle => "M0-5l5.5 9.5h-11z",
        }
    }
}

/// What reached a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Rust(Style),
    Python(Style),
    /// Something that does not compete: a limit, or what others stand beside.
    Bar,
}

impl Mark {
    fn class(self) -> String {
        match self {
            Self::Rust(style) => format!("c{} full", style.colour),
            Self::Python(style) => format!("c{} open", style.colour),
            Self::Bar => "bar".into(),
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Rust(style) | Self::Python(style) => style.shape.path(),
            Self::Bar => "M0-8v16",
        }
    }

    /// The mark at a place.
    pub(crate) fn at(self, x: &str, y: f64) -> Markup {
        html! {
            svg.(self.class()) x=(x) y=(y) overflow="visible" {
                path d=(self.path()) {}
            }
        }
    }

    /// The mark by itself, for a legend.
    pub(crate) fn swatch(self) -> Markup {
        html! {
            svg.swatch width="14" height="14" aria-hidden="true" {
                (self.at("7", 7.0))
            }
        }
    }
}

/// A logarithmic axis, since what is compared are ratios.
struct Axis {
    first: f64,
    last: f64,
}

/// Where an axis begins and ends, in percent of a chart's width.
const LEFT: f64 = 3.0;
const RIGHT: f64 = 97.0;

impl Axis {
    fn over(middles: impl Iterator<Item = Middle>) -> Self {
        let ends = middles.fold((f64::INFINITY, 0.0), |(first, last), middle| {
            (f64::min(first, middle.low), f64::max(last, middle.high))
        });
        Self {
            first: ends.0,
            last: ends.1,
        }
    }

    /// Over a factor of ten at least, so that a small difference looks small.
    fn widened(self) -> Self {
        let missing = (10.0 * self.first / self.last).max(1.0).sqrt();
        Self {
            first: self.first / missing,
            last: self.last * missing,
        }
    }

    /// From 0 to 1 within the values.
    fn place(&self, value: f64) -> f64 {
        let span = (self.last / self.first).ln();
        (value / self.first).ln() / span.max(f64::MIN_POSITIVE)
    }

    fn x(&self, value: f64, left: f64) -> String {
        format!("{:.2}%", left + (RIGHT - left) * self.place(value))
    }

    /// At most eight round values within the axis: the powers of ten, or some of them,
    /// and beside them 2 and 5 where the axis is short.
    fn ticks(&self) -> Vec<f64> {
        let decades = (self.last / self.first).log10();
        let (digits, step): (&[f64], i32) = if decades < 1.5 {
            (&[1.0, 2.0, 5.0], 1)
        } else {
            (&[1.0], (decades / 5.0).ceil() as i32)
        };
        let powers =
            self.first.log10().floor() as i32..=self.last.log10() as i32 + 1;
        let within = self.first * 0.999..=self.last * 1.001;
        powers
            .filter(|power| power % step == 0)
            .flat_map(|power| digits.iter().map(move |d| d * 10_f64.powi(power)))
            .filter(|tick| within.contains(tick))
            .collect()
    }
}

/// A range as a bar with ends.
fn error_bar(from: &str, to: &str, y: f64) -> Markup {
    html! {
        g.error {
            line x1=(from) x2=(to) y1=(y) y2=(y) {}
            @for x in [from, to] {
                line x1=(x) x2=(x) y1=(y - 4.0) y2=(y + 4.0) {}
            }
        }
    }
}

/// Times on one axis, a row for each thing that takes them.
pub(crate) struct DotChart {
    pub(crate) rows: Vec<DotRow>,
}

pub(crate) struct DotRow {
    /// Whether its label has the mark of a row from which nothing is to be concluded.
    pub(crate) doubtful: bool,
    pub(crate) label: String,
    /// What stands below the label, and is less important.
    pub(crate) aside: String,
    /// What stands at the end of the row's line.
    pub(crate) remark: String,
    pub(crate) dots: Vec<Dot>,
}

/// A time in nanoseconds, and what took it.
pub(crate) struct Dot {
    pub(crate) name: String,
    pub(crate) mark: Mark,
    pub(crate) middle: Middle,
}

const LABEL: f64 = 14.0;
const STRIP: f64 = 24.0;
const AXIS: f64 = 22.0;

impl DotChart {
    pub(crate) fn height(&self) -> f64 {
        self.rows.iter().map(DotRow::height).sum::<f64>() + AXIS
    }

    pub(crate) fn doubtful(&self) -> bool {
        self.rows.iter().any(|row| row.doubtful)
    }

    /// Without the `svg` element around it.
    pub(crate) fn draw(&self) -> Markup {
        let dots = self.rows.iter().flat_map(|row| &row.dots);
        let axis = Axis::over(dots.map(|dot| dot.middle)).widened();
        let x = |value| axis.x(value, LEFT);
        let bottom = self.height() - AXIS;
        let tops = self.rows.iter().scan(0.0, |top, row| {
            let this = *top;
            *top += row.height();
            Some(this)
        });
        html! {
            @for tick in axis.ticks() {
                line.rule x1=(x(tick)) x2=(x(tick)) y1="0" y2=(bottom) {}
                text.soft x=(x(tick)) y=(bottom + 15.0) text-anchor="middle" {
                    (round_time(tick))
                }
            }
            @for (row, top) in self.rows.iter().zip(tops) {
                (row.draw(top, x))
            }
        }
    }
}

impl DotRow {
    fn height(&self) -> f64 {
        let labels = if self.aside.is_empty() { 1.0 } else { 2.0 };
        labels * LABEL + STRIP
    }

    fn draw(&self, top: f64, x: impl Fn(f64) -> String) -> Markup {
        let y = top + self.height() - 12.0;
        html! {
            text.label x="0" y=(top + 13.0) { (self.label) }
            @if !self.aside.is_empty() {
                text.label.soft x="0" y=(top + LABEL + 13.0) { (self.aside) }
            }
            @if !self.remark.is_empty() {
                text.label x="100%" y=(top + 13.0) text-anchor="end" { (self.remark) }
            }
            line.rule x1=(format!("{LEFT}%")) x2=(format!("{RIGHT}%")) y1=(y) y2=(y) {}
            @if let [first, .., last] = self.pair().as_slice() {
                line.span.(first.mark.class()) x1=(x(first.middle.median))
                    x2=(x(last.middle.median)) y1=(y) y2=(y) {}
            }
            // What is drawn last is on top.
            @for dot in self.dots.iter().rev() {
                @let Middle { low, median, high } = dot.middle;
                g.(dot.mark.class()) {
                    title { (dot.name) ": " (time(median)) ", "
                        (time(low)) " to " (time(high)) }
                    (error_bar(&x(low), &x(high), y))
                    (dot.mark.at(&x(median), y))
                }
            }
        }
    }

    /// What a line joins: the same thing in both languages.
    fn pair(&self) -> Vec<&Dot> {
        let dots = self.dots.iter();
        dots.filter(|dot| dot.mark != Mark::Bar).collect()
    }
}

/// A value without a spread.
fn exact(value: f64) -> Middle {
    Middle {
        low: value,
        median: value,
        high: value,
    }
}

/// Factors over a number, both on logarithmic axes.
pub(crate) struct LineChart {
    pub(crate) title: String,
    pub(crate) x: String,
    /// What the y axis is. It stands outside of the drawing, where it can be broken.
    pub(crate) y: String,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) mark: Mark,
    pub(crate) points: Vec<(f64, Middle)>,
}

/// Where a chart's lines begin in percent of its width, and end in pixels of its height.
const GUTTER: f64 = 13.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 268.0;

impl LineChart {
    pub(crate) const HEIGHT: f64 = BOTTOM + 40.0;

    /// Without the `svg` element around it.
    pub(crate) fn draw(&self) -> Markup {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let across = Axis::over(points().map(|point| exact(point.0)));
        // The first row itself is always in it.
        let one = [exact(1.0)].into_iter();
        let up = Axis::over(points().map(|point| point.1).chain(one)).widened();
        let x = |value| across.x(value, GUTTER);
        let y = |value| TOP + (BOTTOM - TOP) * (1.0 - up.place(value));
        let mut numbers: Vec<f64> = points().map(|point| point.0).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        html! {
            @for tick in up.ticks() {
                line.rule x1=(format!("{GUTTER}%")) x2="100%" y1=(y(tick)) y2=(y(tick)) {}
                text.soft x=(format!("{}%", GUTTER - 2.0)) y=(y(tick) + 4.0)
                    text-anchor="end" { (tick) }
            }
            line.one x1=(format!("{GUTTER}%")) x2="100%" y1=(y(1.0)) y2=(y(1.0)) {}
            @for number in numbers {
                line.rule x1=(x(number)) x2=(x(number)) y1=(BOTTOM) y2=(BOTTOM + 5.0) {}
                text.soft x=(x(number)) y=(BOTTOM + 18.0) text-anchor="middle" {
                    (number)
                }
            }
            text.soft x="56%" y=(BOTTOM + 35.0) text-anchor="middle" { (self.x) }
            @for line in self.lines.iter().rev() {
                g.(line.mark.class()) {
                    title { (line.name) }
                    @for pair in line.points.windows(2) {
                        line.line x1=(x(pair[0].0)) y1=(y(pair[0].1.median))
                            x2=(x(pair[1].0)) y2=(y(pair[1].1.median)) {}
                    }
                    @for (number, Middle { low, median, high }) in &line.points {
                        line.error x1=(x(*number)) x2=(x(*number)) y1=(y(*low))
                            y2=(y(*high)) {}
                        (line.mark.at(&x(*number), y(*median)))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Style = Style {
        colour: 0,
        shape: Shape::Circle,
    };

    #[test]
    fn a_hundredfold_is_twice_as_far_as_a_tenfold() {
        let axis = Axis::over([exact(10.0), exact(1000.0)].into_iter());
        let places = [10.0, 100.0, 1000.0].map(|value| axis.x(value, LEFT));
        assert_eq!(places, ["3.00%", "50.00%", "97.00%"]);
    }

    #[test]
    fn a_small_difference_looks_small() {
        let axis = Axis::over([exact(10.0), exact(11.0)].into_iter()).widened();
        assert!(axis.place(11.0) - axis.place(10.0) < 0.05);
        let wide = Axis::over([exact(10.0), exact(2e6)].into_iter()).widened();
        assert!((wide.first - 10.0).abs() < 1e-9 && (wide.last - 2e6).abs() < 1e-3);
    }

    #[test]
    fn an_axis_has_a_few_round_ticks() {
        let ticks = |low, high| {
            let ticks = Axis::over([exact(low), exact(high)].into_iter()).ticks();
            ticks.into_iter().map(round_time).collect::<Vec<_>>()
        };
        assert_eq!(ticks(40.0, 620.0), ["50 ns", "100 ns", "200 ns", "500 ns"]);
        let far = ticks(5.0, 7e9);
        assert_eq!(far.first().unwrap(), "100 ns");
        assert_eq!(far.last().unwrap(), "100 ms");
        assert!(far.len() < 9, "{far:?}");
    }

    #[test]
    fn every_value_is_drawn_with_its_error_bar() {
        let dot = |mark, value| Dot {
            name: "a & b".into(),
            mark,
            middle: Middle {
                low: value / 2.0,
                median: value,
                high: 2.0 * value,
            },
        };
        let marks = [Mark::Rust(FIRST), Mark::Python(FIRST), Mark::Bar];
        let dots = marks.map(|mark| dot(mark, 100.0)).into();
        let row = DotRow {
            doubtful: false,
            label: "a < b".into(),
            aside: String::new(),
            remark: String::new(),
            dots,
        };
        let drawn = DotChart { rows: vec![row] }.draw().into_string();
        assert!(drawn.contains("a &lt; b") && drawn.contains("a &amp; b: 100 ns"));
        assert_eq!(drawn.matches("class=\"error\"").count(), 3);
        assert_eq!(drawn.matches("<path").count(), 3);
    }
}
