//! The bench's page and the pictures of the project's page in a real browser. Without
//! one these tests are ignored.
//!
//! They are of a recorded run, `samples.json`. `SCREENSHOTS` names a folder for pictures
//! of what was looked at.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::LazyLock;

use bench::{Record, page, update};
use serde_json::{Value, json};
use tutorial::browser::{self, Browser};

/// A folder with the bench's page, and with the project's as its repository has it.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = folder();
    fs::create_dir_all(folder.join("bench")).unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples.json");
    let record = Record::read(&samples).unwrap();
    fs::write(folder.join("summary.html"), page(&record, None, "../")).unwrap();
    for name in ["README.md", "README.zh-CN.md"] {
        let blocks = ["answers", "run", "table"]
            .map(|block| format!("<!-- bench: {block} -->\nold\n<!-- /bench -->\n"));
        fs::write(folder.join(name), blocks.concat()).unwrap();
    }
    update(&record, &folder).unwrap();
    // As GitHub shows a page: a picture is never wider than the text.
    let head = "<!doctype html><meta name=viewport content='width=device-width'>\
        <link rel=icon href='data:,'><style>:root{color-scheme:light dark}\
        body{max-width:830px;margin:auto;padding:16px}img{max-width:100%}</style>";
    let pictures = PICTURES.map(|name| {
        let file = |scheme| format!("bench/pictures/{name}-{scheme}.svg");
        format!(
            "<picture><source media='(prefers-color-scheme: dark)' srcset='{}'>\
             <img alt='{name}' align=top src='{}'></picture>\n",
            file("dark"),
            file("light")
        )
    });
    let shown = head.to_owned() + &pictures.concat();
    fs::write(folder.join("readme.html"), shown).unwrap();
    folder
});

fn folder() -> PathBuf {
    env::temp_dir().join(format!("bench-pages-{}", process::id()))
}

const PICTURES: [&str; 4] = [
    "threads_and_processes",
    "pool",
    "queues_and_pipes",
    "starting",
];

fn open(page: &str, width: u32, dark: bool) -> Browser {
    let url = format!("file://{}", FOLDER.join(page).display());
    Browser::open(&url, width, dark)
}

fn silent(browser: &Browser) {
    assert!(browser.console.is_empty(), "{:?}", browser.console);
}

/// In each window and scheme: the page is no wider than its window, and silent.
fn everywhere(page: &str, look: impl Fn(&mut Browser, bool)) {
    for width in [390, 1280] {
        for dark in [false, true] {
            let mut browser = open(page, width, dark);
            if let Some(path) = browser::screenshot(page, width, dark) {
                browser.screenshot_whole(&path);
            }
            assert_eq!(browser.evaluate("innerWidth"), width);
            let wide = browser.evaluate("document.documentElement.scrollWidth");
            assert_eq!(wide, width, "the page is wider than its window");
            look(&mut browser, dark);
            silent(&browser);
        }
    }
}

fn the_page_fits_narrow_and_wide_windows_light_and_dark() {
    everywhere("summary.html", |browser, dark| {
        let colours = browser.evaluate(
            "['color', 'backgroundColor'].map(it => getComputedStyle(document.body)[it])",
        );
        let [ink, paper] = [0, 1].map(|it| colours[it].as_str().unwrap().to_owned());
        let (light, deep) = ("rgb(255, 255, 255)", "rgb(13, 17, 23)");
        assert_eq!(paper, if dark { deep } else { light });
        assert_ne!(ink, paper);
        // No text of a chart is smaller than on a desk, or outside of its window.
        let outside = browser.evaluate(
            "[...document.querySelectorAll('svg text')].filter(it => {\
             const box = it.getBoundingClientRect();\
             return box.left < -1 || box.right > innerWidth + 1 || box.height < 10;\
             }).map(it => it.textContent)",
        );
        assert_eq!(outside, json!([]), "texts that cannot be read");
    });
}

fn the_answer_comes_first() {
    let mut browser = open("summary.html", 390, false);
    let top = "document.querySelector('.answer').getBoundingClientRect().bottom";
    let bottom = browser.evaluate(top).as_f64().unwrap();
    assert!(bottom < 800.0, "the answer ends at {bottom}");
    let answers = browser.evaluate(
        "[...document.querySelectorAll('.answer')].map(it => it.textContent)",
    );
    let answers: Vec<&str> = answers
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        answers[0].starts_with("In Rust 2 threads do"),
        "{answers:?}"
    );
    assert!(
        answers[1].starts_with("A pool of 2 processes"),
        "{answers:?}"
    );
    silent(&browser);
}

fn rust_and_python_stand_on_one_axis() {
    let mut browser = open("summary.html", 1280, false);
    // The marks of the tutorial's work by one thread: its place in either language.
    let places = browser.evaluate(
        "(() => { const label = [...document.querySelectorAll('.label')]\
         .find(it => it.textContent.startsWith('sums of squares, one thread'));\
         const line = label.getBoundingClientRect().bottom;\
         return ['full', 'open'].map(kind => \
         [...label.parentNode.querySelectorAll('g.' + kind + ' path')]\
         .map(it => it.getBoundingClientRect())\
         .filter(it => it.top > line - 5 && it.top < line + 20)\
         .map(it => (it.left + it.right) / 2)); })()",
    );
    let place = |kind: usize| places[kind][0].as_f64().unwrap();
    let apart = place(1) - place(0);
    assert!(
        apart > 150.0,
        "only {apart} pixels for the hundredfold: {places}"
    );
    silent(&browser);
}

fn the_page_fetches_nothing() {
    let mut browser = open("summary.html", 1280, false);
    let fetched =
        browser.evaluate("performance.getEntriesByType('resource').length");
    assert_eq!(fetched, 0);
    let hrefs = "[...document.querySelectorAll('#about a')].map(a => a.getAttribute('href'))";
    let links = browser.evaluate(hrefs);
    assert_eq!(links, json!(["samples.json", "samples.csv", "summary.md"]));
    silent(&browser);
}

fn the_pictures_are_those_of_the_scheme_and_fit() {
    everywhere("readme.html", |browser, dark| {
        let pictures = browser.evaluate(
            "[...document.images].map(it => [it.currentSrc, it.naturalWidth, it.width])",
        );
        let pictures = pictures.as_array().unwrap();
        assert_eq!(pictures.len(), PICTURES.len());
        for (picture, name) in pictures.iter().zip(PICTURES) {
            let scheme = if dark { "dark" } else { "light" };
            let source = picture[0].as_str().unwrap();
            assert!(
                source.ends_with(&format!("{name}-{scheme}.svg")),
                "{source}"
            );
            assert_eq!(picture[1], 400, "{source}");
            assert!(picture[2].as_u64().unwrap() > 340, "{source}");
            let path = FOLDER.join(format!("bench/pictures/{name}-{scheme}.svg"));
            assert!(fs::metadata(path).unwrap().len() < 100_000);
        }
    });
}

fn main() {
    let tests: [(&str, fn()); 5] = [
        (
            "the_page_fits_narrow_and_wide_windows_light_and_dark",
            the_page_fits_narrow_and_wide_windows_light_and_dark,
        ),
        ("the_answer_comes_first", the_answer_comes_first),
        (
            "rust_and_python_stand_on_one_axis",
            rust_and_python_stand_on_one_axis,
        ),
        ("the_page_fetches_nothing", the_page_fetches_nothing),
        (
            "the_pictures_are_those_of_the_scheme_and_fit",
            the_pictures_are_those_of_the_scheme_and_fit,
        ),
    ];
    browser::run(tests, || fs::remove_dir_all(folder()).unwrap());
}
