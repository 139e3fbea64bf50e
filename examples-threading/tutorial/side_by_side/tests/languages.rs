//! Both READMEs have the same commands, listings and figures.

use std::collections::{BTreeMap, BTreeSet};

use side_by_side::{rows, text};

/// The README in English, and its Chinese sister.
const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];

fn readmes() -> [String; 2] {
    READMES.map(|path| text(path).unwrap())
}

/// What stands between the fences, in order.
fn code(readme: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in readme.lines() {
        block = match block {
            None if line.starts_with("```") => Some(format!("{line}\n")),
            None => None,
            Some(whole) if line == "```" => {
                blocks.push(whole);
                None
            }
            Some(so_far) => Some(format!("{so_far}{line}\n")),
        };
    }
    blocks
}

/// The numbers in a text that is not code, each with how often it stands there.
fn figures(text: &str) -> BTreeMap<String, u32> {
    let mut figures = BTreeMap::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.starts_with("```");
        if in_code {
            continue;
        }
        for figure in line.split(|c: char| !c.is_ascii_digit() && c != '.') {
            let figure = figure.trim_matches('.');
            if !figure.is_empty() {
                *figures.entry(figure.to_string()).or_insert(0) += 1;
            }
        }
    }
    figures
}

/// From the benches' command on: the measured results.
fn measured(readme: &str) -> &str {
    let start = readme
        .find("```console\n$ cargo bench -p bench")
        .expect("the benches' command");
    &readme[start..]
}

#[test]
fn both_show_the_same_commands_and_code() {
    let [english, chinese] = readmes().map(|readme| code(&readme));
    assert!(english.len() > 5, "{english:?}");
    assert_eq!(english, chinese);
}

#[test]
fn both_list_the_same_listings() {
    let [english, chinese] = readmes().map(|readme| {
        let rows = rows(&readme).into_iter();
        let rows =
            rows.map(|row| [row.id, row.place, row.file, row.path, row.package]);
        rows.collect::<Vec<_>>()
    });
    assert!(english.len() >= 136);
    for (english, chinese) in english.iter().zip(&chinese) {
        assert_eq!(english, chinese);
    }
    assert_eq!(english.len(), chinese.len());
}

#[test]
fn both_have_the_same_figures() {
    let [english, chinese] = readmes().map(|readme| figures(measured(&readme)));
    assert!(english.len() > 100);
    for (figure, count) in &english {
        assert_eq!(chinese.get(figure), Some(count), "the figure {figure}");
    }
    assert_eq!(english, chinese);
}

/// The names of the rows that the table calls limits.
fn limits(readme: &str) -> BTreeSet<&str> {
    let cells = measured(readme).lines().flat_map(|line| line.split(" | "));
    let limits = cells.filter_map(|cell| cell.split_once(", a limit: "));
    // Without the number of workers.
    limits
        .filter_map(|(name, _)| name.split('/').next())
        .collect()
}

#[test]
fn every_limit_of_the_table_is_explained() {
    for readme in readmes() {
        let limits = limits(&readme);
        assert!(limits.len() > 3, "{limits:?}");
        for name in limits {
            assert!(readme.contains(&format!("**{name}**")), "{name}");
        }
    }
}

#[test]
fn each_begins_with_a_link_to_the_other() {
    let [english, chinese] = readmes();
    for (readme, other) in [(english, READMES[1]), (chinese, READMES[0])] {
        let top: Vec<&str> = readme.lines().take(5).collect();
        assert!(top.join("\n").contains(&format!("]({other})")), "{top:?}");
    }
}
