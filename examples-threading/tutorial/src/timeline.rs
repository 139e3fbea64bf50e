//! A chart of what each worker did and when.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// Bars in rows over a common time: what each worker did and when. In Python one would
/// draw it with matplotlib's
/// [`broken_barh`](https://matplotlib.org/stable/api/_as_gen/matplotlib.pyplot.broken_barh.html).
///
/// Its `Display` is a chart of [`COLUMNS`](Self::COLUMNS) characters for a terminal. A
/// bar is drawn with its label.
///
/// ```
/// use tutorial::Timeline;
///
/// let mut timeline = Timeline::new("two workers");
/// timeline.bar("second", '1', 0.0, 2.0);
/// timeline.bar("first", '0', 0.0, 1.0);
/// timeline.bar("first", '2', 1.0, 3.0);
/// timeline.row("third");
/// assert_eq!(
///     timeline.to_string(),
///     "two workers, 3.00 s\n\
///      first  |00000000000000000000222222222222222222222222222222222222222|\n\
///      second |111111111111111111111111111111111111111                    |\n\
///      third  |                                                           |\n"
/// );
/// assert!(Timeline::svg(&[timeline]).starts_with("<svg "));
/// ```
#[derive(Debug, Clone)]
pub struct Timeline {
    title: String,
    /// Each row's bars, by its name: the rows are drawn in alphabetical order.
    rows: BTreeMap<String, Vec<Bar>>,
}

#[derive(Debug, Clone)]
struct Bar {
    label: char,
    start: f64,
    end: f64,
}

impl Timeline {
    /// The number of characters that stand for the whole time.
    pub const COLUMNS: usize = 59;

    /// A chart without rows.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            rows: BTreeMap::new(),
        }
    }

    /// Adds a row, which stays empty until it gets a bar.
    pub fn row(&mut self, name: impl Into<String>) {
        self.rows.entry(name.into()).or_default();
    }

    /// Adds a bar to a row, and the row if there is none of this name. Times are
    /// seconds.
    pub fn bar(
        &mut self,
        row: impl Into<String>,
        label: char,
        start: f64,
        end: f64,
    ) {
        self.rows.entry(row.into()).or_default().push(Bar {
            label,
            start,
            end: end.max(start),
        });
    }

    /// The first start, and the time from there to the last end.
    fn span(&self) -> (f64, f64) {
        let bars = || self.rows.values().flatten();
        let start = bars().map(|bar| bar.start).fold(f64::MAX, f64::min);
        let end = bars().map(|bar| bar.end).fold(start, f64::max);
        (start, (end - start).max(f64::MIN_POSITIVE))
    }

    /// The charts as a picture, one below the other: the contents of an SVG file.
    #[must_use]
    pub fn svg(charts: &[Self]) -> String {
        let mut parts = String::new();
        let mut y = 0.0;
        for chart in charts {
            chart.draw(y, &mut parts);
            y += TOP + ROW * chart.rows.len() as f64;
        }
        let width = LEFT + WIDTH + GAP;
        let height = y + GAP;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" \
             height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{parts}</svg>\n"
        )
    }

    /// Appends the chart, whose upper edge is at `top`.
    fn draw(&self, top: f64, svg: &mut String) {
        let (start, span) = self.span();
        let mut text = |x: f64, y: f64, color: &str, text: &str| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            let place = format!("x=\"{x:.1}\" y=\"{y:.1}\"");
            svg.extend([
                "<text ",
                &place,
                " fill=\"",
                color,
                "\">",
                &text,
                "</text>\n",
            ]);
        };
        let baseline = 18.0;
        text(
            GAP,
            top + baseline + 6.0,
            "black",
            &format!("{}, {span:.2} s", self.title),
        );
        let mut boxes = Vec::new();
        for (index, (row, bars)) in self.rows.iter().enumerate() {
            let y = top + TOP + ROW * index as f64;
            text(GAP, y + baseline, "black", row);
            for bar in bars {
                let x = LEFT + (bar.start - start) / span * WIDTH;
                let width = ((bar.end - bar.start) / span * WIDTH).max(1.0);
                let color = COLORS[bar.label as usize % COLORS.len()];
                let height = ROW - 4.0;
                boxes.push(format!(
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
                     height=\"{height:.1}\" fill=\"{color}\"/>\n"
                ));
                text(x + 4.0, y + baseline, "black", &bar.label.to_string());
            }
        }
        // Before the texts, which are drawn over them.
        svg.insert_str(0, &boxes.concat());
    }
}

/// The measures of the picture, in pixels: the width of the whole time, where it begins,
/// the height of a row, that of a title, and the free space around everything.
const WIDTH: f64 = 720.0;
const LEFT: f64 = 160.0;
const ROW: f64 = 28.0;
const TOP: f64 = 36.0;
const GAP: f64 = 10.0;

/// Bars with labels that follow each other have different colours.
const COLORS: [&str; 5] = ["#8cb9e2", "#f6b26b", "#93c47d", "#e59a9a", "#c5a5d6"];

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, span) = self.span();
        writeln!(f, "{}, {span:.2} s", self.title)?;
        let names = self.rows.keys().map(|row| row.chars().count());
        let names = names.max().unwrap_or(0);
        for (row, bars) in &self.rows {
            let mut line = [' '; Self::COLUMNS];
            for bar in bars {
                let column = |time: f64| {
                    ((time - start) / span * Self::COLUMNS as f64).round() as usize
                };
                // A task that is too short for a column gets one all the same.
                let from = column(bar.start).min(Self::COLUMNS - 1);
                let to = column(bar.end).clamp(from + 1, Self::COLUMNS);
                line[from..to].fill(bar.label);
            }
            write!(f, "{row:names$} |")?;
            line.iter().try_for_each(|&c| f.write_char(c))?;
            writeln!(f, "|")?;
        }
        Ok(())
    }
}
