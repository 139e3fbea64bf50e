//! Which charts the report has.

use crate::chart::{Chart, ChartLine};
use crate::results::{Results, Role};
use crate::summary::speed_up;

/// How a scenario gains from workers, and where the lines of a question cross.
pub(crate) fn charts_of(results: &[Results]) -> Vec<(String, Chart)> {
    let mut charts: Vec<(String, Chart)> =
        results.iter().filter_map(scaling).collect();
    let mut axes: Vec<(&str, &str)> = Vec::new();
    for result in results {
        if let Some((axis, _)) = &result.at
            && !axes.contains(&(&result.question, axis))
        {
            axes.push((&result.question, axis));
        }
    }
    charts.extend(axes.iter().filter_map(|(question, axis)| {
        let those: Vec<&Results> = results
            .iter()
            .filter(|r| r.question == *question)
            .filter(|r| r.at.as_ref().is_some_and(|at| at.0 == *axis))
            .collect();
        crossover(question, axis, &those)
    }));
    charts
}

fn file(question: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    format!("{question}-{name}.svg")
}

fn scaling(result: &Results) -> Option<(String, Chart)> {
    let mut lines: Vec<ChartLine> = Vec::new();
    let mut add = |name: String, dashed, point| match lines
        .iter_mut()
        .find(|line| line.name == name)
    {
        Some(line) => line.points.push(point),
        None => lines.push(ChartLine {
            name,
            dashed,
            points: vec![point],
        }),
    };
    for line in &result.lines {
        let Some(workers) = line.workers else {
            continue;
        };
        if let Some(faster) = speed_up(result, line) {
            let dashed = line.role == Role::Ceiling;
            add(line.name.clone(), dashed, (workers as f64, faster));
        }
    }
    for (which, python) in result.pythons.iter().enumerate() {
        let alone = result.baseline()?.cells[1 + which].median();
        for line in &result.lines {
            let theirs = line.cells[1 + which].median();
            if let (Some(workers), Some(alone), Some(theirs)) =
                (line.workers, alone, theirs)
            {
                let name = format!("{} in {python}", line.name);
                add(name, true, (workers as f64, alone / theirs));
            }
        }
    }
    lines.retain(|line| line.points.len() > 1);
    let chart = Chart {
        title: format!("{}: {}", result.question, result.name()),
        x: "workers".into(),
        y: "times as fast as one thread of the same language".into(),
        y_logarithmic: false,
        lines,
    };
    (!chart.lines.is_empty())
        .then(|| (file(&result.question, &result.name()), chart))
}

fn crossover(
    question: &str,
    axis: &str,
    results: &[&Results],
) -> Option<(String, Chart)> {
    let baseline = results.first()?.baseline()?.label();
    let mut lines: Vec<ChartLine> = Vec::new();
    for result in results {
        let (_, x) = result.at.as_ref()?;
        for line in &result.lines {
            let Some(faster) = speed_up(result, line) else {
                continue;
            };
            let (name, point) = (line.label(), (*x, faster));
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push(point),
                None => lines.push(ChartLine {
                    dashed: line.role != Role::Contender || name == baseline,
                    name,
                    points: vec![point],
                }),
            }
        }
    }
    lines.retain(|line| line.points.len() > 1);
    let chart = Chart {
        title: format!("{question}: by {axis}"),
        x: axis.into(),
        y: format!("times as fast as {baseline}"),
        y_logarithmic: true,
        lines,
    };
    (!chart.lines.is_empty()).then(|| (file(question, axis), chart))
}
