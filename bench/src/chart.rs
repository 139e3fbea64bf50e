//! Line charts as SVG.

use std::fmt::Write;

/// Lines over a logarithmic x axis.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: String,
    pub(crate) y: String,
    /// For lines whose factors to each other are what counts.
    pub(crate) y_logarithmic: bool,
    pub(crate) lines: Vec<ChartLine>,
}

pub(crate) struct ChartLine {
    pub(crate) name: String,
    /// What the machine, or another language, does.
    pub(crate) dashed: bool,
    pub(crate) points: Vec<(f64, f64)>,
}

const COLORS: [&str; 12] = [
    "#4269d0", "#ff725c", "#3ca951", "#efb118", "#a463f2", "#6cc5b0", "#97bbf5",
    "#9c6b4e", "#ff8ab7", "#808080", "#1b7837", "#222222",
];

/// The frame in which the lines are.
const LEFT: f64 = 80.0;
const TOP: f64 = 40.0;
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 280.0;

/// From values to places.
struct Axis {
    first: f64,
    last: f64,
    logarithmic: bool,
}

impl Axis {
    /// From 0 to 1 within the values.
    fn place(&self, value: f64) -> f64 {
        let scale = |v: f64| if self.logarithmic { v.ln() } else { v };
        let span = scale(self.last) - scale(self.first);
        (scale(value) - scale(self.first)) / span.max(f64::MIN_POSITIVE)
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + WIDTH * self.place(value)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + HEIGHT * (1.0 - self.place(value))
    }

    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let decade = |v: f64| v.log10().round() as i32;
            (decade(self.first)..=decade(self.last))
                .map(|power| 10_f64.powi(power))
                .collect()
        } else {
            let most = self.last.ceil() as u32;
            (0..=most)
                .step_by(most.div_ceil(8).max(1) as usize)
                .map(f64::from)
                .collect()
        }
    }
}

impl Chart {
    fn values(&self, pick: fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let all = self
            .lines
            .iter()
            .flat_map(|line| line.points.iter().map(pick));
        all.fold((f64::INFINITY, 0.0), |(low, high), value| {
            (f64::min(low, value), f64::max(high, value))
        })
    }

    pub(crate) fn svg(&self) -> String {
        let (first, last) = self.values(|point| point.0);
        let x = Axis {
            first,
            last,
            logarithmic: true,
        };
        let (low, high) = self.values(|point| point.1);
        let y = if self.y_logarithmic {
            Axis {
                first: 10_f64.powf(low.log10().floor()),
                last: 10_f64.powf(high.log10().ceil()),
                logarithmic: true,
            }
        } else {
            Axis {
                first: 0.0,
                last: high.ceil(),
                logarithmic: false,
            }
        };
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _always = self.draw(&mut svg, &x, &y);
        svg
    }

    fn draw(&self, svg: &mut String, x: &Axis, y: &Axis) -> std::fmt::Result {
        let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
        let height =
            (bottom + 50.0).max(TOP + 20.0 * self.lines.len() as f64 + 20.0);
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"800\" height=\"{height}\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>",
            escape(&self.title)
        )?;
        for tick in y.ticks() {
            let place = y.y(tick);
            writeln!(
                svg,
                "<path d=\"M{LEFT} {place:.1}H{right}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
                LEFT - 8.0,
                place + 4.0
            )?;
        }
        let mut ticks: Vec<f64> = (self.lines.iter().flat_map(|line| &line.points))
            .map(|p| p.0)
            .collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        for tick in ticks {
            writeln!(
                svg,
                "<path d=\"M{0:.1} {bottom}v5\" stroke=\"black\"/>\n\
                 <text x=\"{0:.1}\" y=\"{1}\" text-anchor=\"middle\">{tick}</text>",
                x.x(tick),
                bottom + 18.0
            )?;
        }
        writeln!(
            svg,
            "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" stroke=\"black\" fill=\"none\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(16 {}) rotate(-90)\" \
             text-anchor=\"middle\">{}</text>",
            LEFT + WIDTH / 2.0,
            bottom + 38.0,
            escape(&self.x),
            TOP + HEIGHT / 2.0,
            escape(&self.y)
        )?;
        for (number, line) in self.lines.iter().enumerate() {
            let color = COLORS[number % COLORS.len()];
            let dash = if line.dashed { "6 4" } else { "none" };
            let mut path = String::new();
            for (number, point) in line.points.iter().enumerate() {
                let step = if number == 0 { 'M' } else { 'L' };
                let (x, y) = (x.x(point.0), y.y(point.1));
                write!(path, "{step}{x:.1} {y:.1}")?;
                writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>"
                )?;
            }
            let legend = TOP + 20.0 * number as f64 + 6.0;
            writeln!(
                svg,
                "<path d=\"{path}M{} {legend}h24\" stroke=\"{color}\" fill=\"none\" \
                 stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\n\
                 <text x=\"{}\" y=\"{}\">{}</text>",
                right + 16.0,
                right + 46.0,
                legend + 4.0,
                escape(&line.name)
            )?;
        }
        svg.push_str("</svg>\n");
        Ok(())
    }
}

/// Text within SVG and HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_whole_and_draws_every_point() {
        let chart = Chart {
            title: "a < b".into(),
            x: "workers".into(),
            y: "times as fast".into(),
            y_logarithmic: false,
            lines: vec![ChartLine {
                name: "threads & co".into(),
                dashed: false,
                points: vec![(1.0, 1.0), (2.0, 1.9), (4.0, 2.0)],
            }],
        };
        let svg = chart.svg();
        assert!(svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<circle").count(), 3);
        // From the left edge to the right one, and never outside of the frame.
        assert!(svg.contains("M80.0 180.0L290.0 54.0L500.0 40.0"));
        assert!(svg.contains("a &lt; b") && svg.contains("threads &amp; co"));
    }
}
