//! The page in a real browser. Without one these tests are ignored.
//!
//! `SCREENSHOTS` names a folder for pictures of what was looked at; `TUTORIALS` names
//! the folder of real tutorials, of which the pictures then are.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::LazyLock;

use serde_json::json;
use side_by_side::{Document, page, project_sections, rows, sections, text};
use tutorial::browser::{self, Browser};

/// Stands in for a tutorial: it has something of listing V17 and of listing V18.
const DOCUMENT: &str = r#"import threading

def doChore():
    pause()

def booth(tid):
    if i != 0:
        print(tid, ":now left:", i)
        doChore()
    else:
        print("Thread_id", tid, " No more tickets")

class BoothThread(Thread):
    def run(self):
        doChore()

这是一段很长的中文，没有代码，只有文字，应该换行，而且不应该比页面更宽；这是一段很长的中文，没有代码，只有文字。
"#;

/// The page of the stand-in, and of the real tutorials if there are any, on the disk.
struct Files {
    folder: PathBuf,
    pages: Vec<PathBuf>,
}

impl Files {
    fn url(&self, hash: &str) -> String {
        format!("file://{}{hash}", self.pages[0].display())
    }
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let folder =
        env::temp_dir().join(format!("side_by_side-pages-{}", process::id()));
    fs::create_dir(&folder).unwrap();
    let rows = rows(&text("README.md").unwrap());
    let outputs =
        BTreeMap::from([("booth".to_string(), "0 :now left: 99".to_string())]);
    let document = Document::new("stand-in.md", DOCUMENT);
    let places = format!(
        "# A tutorial\n## Booths\nV17{}\nV18{}\nN9 00ff00\n## Prose\nV19{}\n",
        document.part(0..=10),
        document.part(12..=14),
        document.part(16..=16),
    );
    let stand_in = sections(&places).unwrap();
    let mut pages = vec![page(&stand_in, &rows, &[document], &outputs).unwrap()];
    if let Some(tutorials) = env::var_os("TUTORIALS") {
        let mut files: Vec<_> = fs::read_dir(tutorials)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        let documents: Vec<_> = files
            .iter()
            .map(|file| Document::read(file).unwrap())
            .collect();
        let sections = project_sections().unwrap();
        pages.push(page(&sections, &rows, &documents, &outputs).unwrap());
    }
    let pages = pages.iter().enumerate().map(|(index, page)| {
        let path = folder.join(format!("{index}.html"));
        fs::write(&path, &page.html).unwrap();
        path
    });
    Files {
        pages: pages.collect(),
        folder,
    }
});

/// The page, wide enough for two columns.
fn wide(hash: &str) -> Browser {
    Browser::open(&FILES.url(hash), 1280, false)
}

fn silent(browser: &Browser) {
    assert!(browser.console.is_empty(), "{:?}", browser.console);
}

fn it_fits_narrow_and_wide_windows_light_and_dark() {
    let mut colours = Vec::new();
    for width in [390, 1280] {
        for dark in [false, true] {
            for (index, path) in FILES.pages.iter().enumerate() {
                let url = format!("file://{}#V17", path.display());
                let mut browser = Browser::open(&url, width, dark);
                assert_eq!(browser.evaluate("innerWidth"), width);
                let wide = browser.evaluate("document.documentElement.scrollWidth");
                assert_eq!(wide, width, "the page is wider than its window");
                let colour = "getComputedStyle(document.body).backgroundColor";
                colours.push((dark, browser.evaluate(colour)));
                silent(&browser);
                let name = format!("page-{index}");
                if let Some(path) = browser::screenshot(&name, width, dark) {
                    browser.screenshot(&path);
                }
            }
        }
    }
    let (dark, light): (Vec<_>, Vec<_>) =
        colours.iter().partition(|(dark, _)| *dark);
    for colour in light {
        assert!(dark.iter().all(|other| other.1 != colour.1), "{colours:?}");
    }
}

fn it_fetches_nothing() {
    let mut browser = wide("");
    let fetched =
        browser.evaluate("performance.getEntriesByType('resource').length");
    assert_eq!(fetched, 0);
    silent(&browser);
}

/// The ids of the listings that are shown.
const SHOWN: &str = "[...document.querySelectorAll('article')].filter(a => !a.hidden).map(a => a.id)";

fn a_search_finds_by_id_name_and_word() {
    for (words, ids) in [
        ("v17", json!(["V17"])),
        ("booth_thread", json!(["V18"])),
        ("left: 99", json!(["V17"])),
        ("not a word of any listing", json!([])),
    ] {
        let mut browser = wide("");
        assert_eq!(browser.evaluate(SHOWN).as_array().unwrap().len(), 4);
        browser.press("/");
        browser.press(words);
        assert_eq!(browser.evaluate(SHOWN), ids, "{words}");
        let contents = "[...document.querySelectorAll('#contents a')]\
            .filter(a => !a.hidden).map(a => a.hash.slice(1))";
        assert_eq!(browser.evaluate(contents), ids, "{words}");
        silent(&browser);
    }
}

fn keys_go_to_the_next_and_the_previous_listing() {
    let mut browser = wide("");
    let mut hashes = Vec::new();
    for key in ["j", "j", "k", "n", "n", "n", "n", "p"] {
        browser.press(key);
        hashes.push(browser.evaluate("location.hash"));
    }
    let expected = ["#V17", "#V18", "#V17", "#V18", "#N9", "#V19", "#V19", "#N9"];
    assert_eq!(hashes, expected);
    let top = "document.getElementById('N9').getBoundingClientRect().top";
    let top = browser.evaluate(top).as_f64().unwrap();
    assert!(
        (0.0..800.0).contains(&top),
        "the listing is not in view: {top}"
    );
    silent(&browser);
}

fn a_link_to_a_listing_shows_it() {
    let mut browser = wide("#V18");
    let top = "document.getElementById('V18').getBoundingClientRect().top";
    let top = browser.evaluate(top).as_f64().unwrap();
    assert!(
        (0.0..100.0).contains(&top),
        "the listing is not at the top: {top}"
    );
    let marked = "document.querySelector('[aria-current]').hash";
    assert_eq!(browser.evaluate(marked), "#V18");
    silent(&browser);
}

/// The top of the first line of V17 that begins so, in the left and the right column.
const TOPS: &str = "(starts => ['l', 'r'].map((side, i) =>\
    [...document.querySelectorAll(`#V17 .${side} p`)]\
    .find(p => p.textContent.startsWith(starts[i])).getBoundingClientRect().top))";

fn a_function_stands_beside_its_port() {
    let mut browser = wide("#V17");
    for starts in [["def doChore", "fn do_chore"], ["def booth", "fn booth"]] {
        let tops = browser.evaluate(&format!("{TOPS}({})", json!(starts)));
        assert_eq!(tops[0], tops[1], "{starts:?}");
    }
    let mut narrow = Browser::open(&FILES.url("#V17"), 390, false);
    let tops =
        narrow.evaluate(&format!("{TOPS}({})", json!(["def booth", "fn booth"])));
    assert!(tops[0].as_f64() < tops[1].as_f64(), "{tops}");
    let lefts = narrow.evaluate(
        "['.l', '.r'].map(side => document.querySelector('#V17 ' + side)\
         .getBoundingClientRect().left)",
    );
    assert_eq!(lefts[0], lefts[1], "the columns stand beside each other");
    silent(&browser);
    silent(&narrow);
}

fn the_button_copies_the_command_or_selects_it() {
    let mut browser = wide("#V17");
    browser.evaluate("document.querySelector('#V17 button').click()");
    let text = browser.evaluate(
        "new Promise(done => { const button = document.querySelector('#V17 button');\
         const look = () => button.textContent === 'Copy' ? setTimeout(look, 20)\
         : done(button.textContent); look(); })",
    );
    assert!(text == "Copied" || text == "Selected", "{text}");
    if text == "Selected" {
        let selected = browser.evaluate("String(getSelection())");
        assert_eq!(selected, "cargo run -p examples-threading --bin booth");
    }
    silent(&browser);
}

fn what_is_not_found_is_listed_and_its_port_shown() {
    let mut browser = wide("");
    let missing = browser.evaluate("document.getElementById('missing').textContent");
    assert!(missing.as_str().unwrap().ends_with(": N9"), "{missing}");
    let port = browser.evaluate("document.querySelector('#N9').textContent");
    assert!(port.as_str().unwrap().contains("fn main"));
    silent(&browser);
}

fn main() {
    let clean = || fs::remove_dir_all(&FILES.folder).unwrap();
    let tests: [(&str, fn()); 8] = [
        (
            "it_fits_narrow_and_wide_windows_light_and_dark",
            it_fits_narrow_and_wide_windows_light_and_dark,
        ),
        ("it_fetches_nothing", it_fetches_nothing),
        (
            "a_search_finds_by_id_name_and_word",
            a_search_finds_by_id_name_and_word,
        ),
        (
            "keys_go_to_the_next_and_the_previous_listing",
            keys_go_to_the_next_and_the_previous_listing,
        ),
        ("a_link_to_a_listing_shows_it", a_link_to_a_listing_shows_it),
        (
            "a_function_stands_beside_its_port",
            a_function_stands_beside_its_port,
        ),
        (
            "the_button_copies_the_command_or_selects_it",
            the_button_copies_the_command_or_selects_it,
        ),
        (
            "what_is_not_found_is_listed_and_its_port_shown",
            what_is_not_found_is_listed_and_its_port_shown,
        ),
    ];
    browser::run(tests, clean)
}
