//! Source text as HTML.

use std::fmt::Write as _;

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxSet};

/// A language that the page shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Rust,
}

/// The classes of `page.css`, each with what it stands for.
const CLASSES: [(&str, &str); 9] = [
    ("c", "comment"),
    ("s", "string"),
    ("n", "constant"),
    ("f", "entity.name.function"),
    ("f", "support.function"),
    ("f", "support.macro"),
    ("t", "entity.name"),
    ("t", "support.type"),
    ("k", "storage"),
];

pub(crate) struct Highlighter {
    syntaxes: SyntaxSet,
    classes: Vec<(&'static str, Scope)>,
}

impl Highlighter {
    pub(crate) fn new() -> Self {
        let keyword = ("k", "keyword.control");
        let operators = [("k", "keyword.other"), ("k", "keyword.operator.logical")];
        let all = CLASSES.into_iter().chain([keyword]).chain(operators);
        Self {
            syntaxes: SyntaxSet::load_defaults_newlines(),
            classes: all
                .filter_map(|(class, scope)| Some((class, Scope::new(scope).ok()?)))
                .collect(),
        }
    }

    /// Each of these lines as HTML.
    ///
    /// A line of Python starts afresh: a quote that a copy has lost colours its own line
    /// wrong, and no other.
    pub(crate) fn lines(&self, language: Language, lines: &[&str]) -> Vec<String> {
        let name = match language {
            Language::Python => "Python",
            Language::Rust => "Rust",
        };
        let plain = || lines.iter().map(|line| escaped(line)).collect();
        let Some(syntax) = self.syntaxes.find_syntax_by_name(name) else {
            return plain();
        };
        let mut state = ParseState::new(syntax);
        let mut stack = ScopeStack::new();
        let mut all = Vec::new();
        for line in lines {
            if language == Language::Python {
                state = ParseState::new(syntax);
                stack = ScopeStack::new();
            }
            let line = format!("{line}\n");
            let Ok(changes) = state.parse_line(&line, &self.syntaxes) else {
                return plain();
            };
            let mut html = String::new();
            let mut from = 0;
            for (to, change) in changes {
                self.append(&mut html, &line[from..to], &stack);
                from = to;
                if stack.apply(&change).is_err() {
                    return plain();
                }
            }
            self.append(&mut html, line[from..].trim_end_matches('\n'), &stack);
            all.push(html);
        }
        all
    }

    fn append(&self, html: &mut String, text: &str, stack: &ScopeStack) {
        let text = escaped(text.trim_end_matches('\n'));
        let mut scopes = stack.as_slice().iter().rev();
        let class = scopes.find_map(|&scope| {
            let mut classes = self.classes.iter();
            classes.find(|(_, prefix)| prefix.is_prefix_of(scope))
        });
        match class {
            Some((class, _)) if !text.trim().is_empty() => {
                let _ = write!(html, "<i class={class}>{text}</i>");
            }
            _ => html.push_str(&text),
        }
    }
}

/// Text that may stand in HTML, between tags or in a quoted attribute.
pub(crate) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_quote_colours_no_other_line() {
        let lines =
            Highlighter::new().lines(Language::Python, &["print(\"\"\"a)", "if b:"]);
        assert!(!lines[1].contains("class=s"), "{}", lines[1]);
        assert!(lines[1].contains("<i class=k>if</i>"), "{}", lines[1]);
    }

    #[test]
    fn text_is_never_markup() {
        let lines =
            Highlighter::new().lines(Language::Rust, &["let a = \"<b>\" & 1;"]);
        assert!(lines[0].contains("&lt;b&gt;"), "{}", lines[0]);
        assert!(lines[0].contains("&amp;"), "{}", lines[0]);
    }
}
