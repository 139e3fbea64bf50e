//! What the report says in words: the questions, and their answers.

use crate::record::Record;
use crate::results::{Of, Results};
use crate::statistics::{Ratio, Verdict, round_time};

/// A language of the project's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// `README.md`
    English,
    /// `README.zh-CN.md`
    Chinese,
}

impl Language {
    pub(crate) fn pick<T>(self, [english, chinese]: [T; 2]) -> T {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }
}

/// A question as a sentence; its name if it is not known here.
pub(crate) fn question(name: &str) -> &str {
    match name {
        "start" => "What does it cost to start something, and to wait for its end?",
        "threads_vs_processes" => {
            "What do threads give without a GIL, and what do processes cost?"
        }
        "pool" => "When does a pool pay, and by which of its methods?",
        "queues" => {
            "What does it cost to hand something over, between threads and between \
             processes?"
        }
        "locks" => "What does a lock cost that other processes know, too?",
        "shared" => {
            "Is an array that processes share as fast as a slice, and what does a \
             block of memory with a name cost?"
        }
        "managers" => "What does an object in a manager's server cost?",
        "files" => {
            "What does it cost to copy a folder of files and to prove every copy?"
        }
        "broker" => "What does a pool cost whose workers are elsewhere?",
        other => other,
    }
}

/// The answers to the two questions that the bench is there for, as far as they were
/// measured.
pub(crate) fn answers(record: &Record, language: Language) -> Vec<String> {
    [gil(record, language), pool(record, language)]
        .into_iter()
        .flatten()
        .collect()
}

/// What the GIL's absence buys, by the tutorial's own work.
fn gil(record: &Record, language: Language) -> Option<String> {
    let results = record.find("threads_vs_processes", "squares")?;
    let cores = record.cores();
    let one = "one thread";
    let (threads, pool) =
        (format!("thread::scope/{cores}"), format!("Pool/{cores}"));
    let by_threads = share(results.times(&threads, one)?);
    let by_pool = share(results.times(&pool, one)?);
    let doubt = language.pick(doubt(record, results));
    let mut text = language.pick([
        format!(
            "In Rust {cores} threads do the tutorial's sums of squares in {by_threads} \
             and a pool of {cores} processes in {by_pool} of the time that one thread \
             takes{doubt}"
        ),
        format!(
            "在 Rust 里计算教程的平方和，{cores} 个线程的用时是单线程的 {by_threads}，\
             {cores} 个进程的进程池是 {by_pool}{doubt}"
        ),
    ]);
    let python = (results.ratio(Of::Python(&threads), Of::Python(one)))
        .zip(results.python(one));
    if let Some((by_threads, times)) = python {
        let (by_threads, times) = (share(by_threads), count(times));
        text += &language.pick([
            format!(
                "; in Python {cores} threads take {by_threads} of the time of one, and \
                 one thread takes {times} times as long as Rust's"
            ),
            format!(
                "；在 Python 里 {cores} 个线程的用时是单线程的 {by_threads}，而单线程的\
                 用时是 Rust 的 {times} 倍"
            ),
        ]);
    }
    Some(text + language.pick([".", "。"]))
}

/// From which length of a task on a pool pays.
fn pool(record: &Record, language: Language) -> Option<String> {
    let mut tasks: Vec<(f64, &Results, Verdict)> = (record.results.iter())
        .filter(|results| results.question == "pool")
        .filter_map(|results| {
            let (axis, length) = results.at.as_ref()?;
            let verdict = results.times("map", "one thread")?.verdict();
            (axis == "length of a task in µs").then_some((*length, results, verdict))
        })
        .collect();
    tasks.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let workers = record.cores();
    let longer = tasks.iter().rev();
    let pays = longer
        .take_while(|(.., verdict)| *verdict == Verdict::Less)
        .last();
    let mut text = if let Some((length, results, _)) = pays {
        let length = round_time(length * 1e3);
        let doubt = language.pick(doubt(record, results));
        language.pick([
            format!(
                "A pool of {workers} processes pays from tasks of {length} on, of the \
                 lengths that were tried: its map is then faster than one thread{doubt}"
            ),
            format!(
                "在试过的任务时长里，{workers} 个进程的进程池从 {length} 的任务起就划算：\
                 这时它的 map 比单线程快{doubt}"
            ),
        ])
    } else {
        let (_, longest, _) = tasks.last()?;
        let doubt = language.pick(doubt(record, longest));
        language.pick([
            format!(
                "A pool of {workers} processes was faster than one thread for no length \
                 of a task that was tried{doubt}"
            ),
            format!("在试过的任务时长里，{workers} 个进程的进程池都不比单线程快{doubt}"),
        ])
    };
    if let Some(trip) = record.find("pool", "round trip")
        && let Some(ours) = trip.each("apply", 1)
    {
        text += &language.pick([
            format!(". A task and its result take it {ours}"),
            format!("。它完成一个任务并取回结果要 {ours}"),
        ]);
        if let Some(theirs) = trip.time_in_python("apply") {
            text += &language.pick([
                format!(", Python's {theirs}"),
                format!("，Python 的要 {theirs}"),
            ]);
        }
    }
    Some(text + language.pick([".", "。"]))
}

/// What is added to a statement about several workers if there were too few cores.
fn doubt(record: &Record, results: &Results) -> [String; 2] {
    let cores = record.cores();
    match record.doubt(results) {
        Some(_) => [
            format!(", with fewer than {cores} cores at times"),
            format!("（测量时有时不足 {cores} 个核）"),
        ],
        None => [String::new(), String::new()],
    }
}

/// A share of a time, for a sentence.
fn share(ratio: Ratio) -> String {
    let share = format!("{:.2}", ratio.of_medians());
    match ratio.verdict() {
        Verdict::Equal => format!("≈ {share}"),
        Verdict::Less | Verdict::More => share,
    }
}

/// How many times, for a sentence.
fn count(ratio: Ratio) -> String {
    match ratio.of_medians() {
        few if few < 10.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::record::tests::run;
    use crate::results::tests::{line, results};
    use crate::results::{Cell, Line, Role};

    fn contender(label: &str, median: f64, python: f64) -> Line {
        let mut line = line(label, Role::Contender, median);
        if let Some((name, workers)) = label.split_once('/') {
            line.name = name.into();
            line.workers = workers.parse().ok();
        }
        line.cells.push(Cell::Samples(vec![python; 3]));
        line
    }

    fn squares(pool: f64) -> Results {
        let mut results = results(vec![
            contender("one thread", 100.0, 10_000.0),
            contender("thread::scope/2", 50.0, 10_000.0),
            contender("Pool/2", pool, 5000.0),
        ]);
        results.question = "threads_vs_processes".into();
        results.family = "squares".into();
        results.pythons = vec!["CPython".into()];
        results
    }

    fn tasks(microseconds: f64, map: f64) -> Results {
        let mut results = results(vec![
            line("one thread", Role::Contender, 100.0),
            line("map", Role::Contender, map),
        ]);
        results.question = "pool".into();
        results.at = Some(("length of a task in µs".into(), microseconds));
        results
    }

    #[test]
    fn every_question_of_the_bench_is_known_in_words() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/questions");
        let files = fs::read_dir(folder).unwrap();
        let texts =
            files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        let all = texts.collect::<Vec<_>>().concat();
        let names: Vec<_> = (all.lines())
            .filter_map(|line| {
                line.strip_prefix("const QUESTION: &str = \"")?
                    .strip_suffix("\";")
            })
            .collect();
        assert_eq!(names.len(), all.matches("::measure(&mut bench)").count());
        for name in names {
            assert_ne!(question(name), name, "{name} has no sentence");
        }
    }

    #[test]
    fn an_answer_falls_as_the_data_do() {
        let answer = |pool, language| {
            answers(&run(&[], vec![squares(pool)]), language).remove(0)
        };
        assert_eq!(
            answer(60.0, Language::English),
            "In Rust 2 threads do the tutorial's sums of squares in 0.50 and a pool of 2 \
             processes in 0.60 of the time that one thread takes; in Python 2 threads \
             take ≈ 1.00 of the time of one, and one thread takes 100 times as long as \
             Rust's."
        );
        assert!(
            answer(200.0, Language::Chinese).contains("2 个进程的进程池是 2.00")
        );
    }

    #[test]
    fn a_pool_pays_from_where_all_longer_tasks_are_faster_by_it() {
        let says = |maps: [f64; 3]| {
            let lengths = [0.001, 1.0, 100.0].into_iter().zip(maps);
            let tasks = lengths.map(|(length, map)| tasks(length, map)).collect();
            answers(&run(&[], tasks), Language::English).remove(0)
        };
        assert!(says([900.0, 105.0, 60.0]).contains("from tasks of 100 µs on"));
        assert!(says([900.0, 50.0, 60.0]).contains("from tasks of 1 µs on"));
        // Faster once and slower again is no border.
        assert!(says([50.0, 200.0, 60.0]).contains("from tasks of 100 µs on"));
        assert!(says([50.0, 60.0, 105.0]).contains("for no length of a task"));
    }

    #[test]
    fn an_answer_of_too_few_cores_says_so() {
        let record = run(&["THIS MACHINE WAS BUSY"], vec![squares(60.0)]);
        let answer = answers(&record, Language::English).remove(0);
        assert!(
            answer.contains("with fewer than 2 cores at times"),
            "{answer}"
        );
    }

    #[test]
    fn what_was_not_measured_is_not_answered() {
        assert!(answers(&run(&[], Vec::new()), Language::English).is_empty());
    }
}
