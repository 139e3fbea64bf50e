//! Children that run beside their parent: V5 to V9, N7, N28 to N30.

use std::path::Path;

use crate::stand_ins::StandIns;
use tutorial::harness::listing;

/// A `ping` that answers once something is typed.
fn ping() -> StandIns {
    StandIns::none().with("ping", "echo \"PING $*\"; read -r go; echo \"$go\"")
}

#[test]
fn popen_no_wait_ends_before_ping_does() {
    let ping = ping();
    let mut parent = listing!("popen_no_wait").env("PATH", ping.first()).start();
    // `ping` waits for the typing, so this line can only be the parent's going on.
    parent.line_with("parent process");
    parent.type_in("64 bytes\n");
    let run = parent.finish();
    assert_eq!(run.lines.last().unwrap(), "64 bytes");
    let lines = tutorial::harness::sorted(run.success());
    assert_eq!(
        lines,
        ["64 bytes", "PING -c 5 www.google.com", "parent process"]
    );
}

#[test]
fn popen_wait_ends_after_ping_does() {
    let ping = ping();
    let run = listing!("popen_wait")
        .env("PATH", ping.first())
        .arg("localhost")
        .input("64 bytes\n")
        .run();
    assert_eq!(
        run.success(),
        ["PING -c 5 localhost", "64 bytes", "parent process"]
    );
}

#[test]
fn popen_control_leaves_a_code_for_each_signal() {
    let mut lines = listing!("popen_control").run().success();
    let pid = lines.remove(0);
    pid.strip_prefix("pid: ").unwrap().parse::<u32>().unwrap();
    assert_eq!(
        lines,
        [
            "poll(): None",
            "send_signal(SIGUSR1): -10",
            "terminate(): -15",
            "kill(): -9",
            "poll(): Some(-9)",
        ]
    );
}

#[test]
fn pipe_ls_wc_counts_what_ls_lists() {
    let ls = StandIns::none().with("ls", "[ \"$*\" = -l ] && printf 'a b\\nc\\n'");
    let lines = listing!("pipe_ls_wc")
        .env("PATH", ls.first())
        .run()
        .success();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    let counts = line.strip_prefix("(Some(\"").unwrap();
    let counts = counts.strip_suffix("\\n\"), None)").unwrap();
    let counts: Vec<&str> = counts.split_whitespace().collect();
    assert_eq!(counts, ["2", "3", "6"]);
}

#[test]
fn communicate_cat_gives_vamei_to_cat() {
    assert_eq!(listing!("communicate_cat").run().success(), ["vamei"]);
}

#[test]
fn nslookup_communicate_types_three_lines() {
    let nslookup = StandIns::none()
        .with("nslookup", "sed 's/^/> /'; echo 'not shown' >&2; exit 7");
    let run = listing!("nslookup_communicate").env("PATH", nslookup.first());
    assert_eq!(
        run.run().success(),
        [
            "$ nslookup",
            "> set q=mx",
            "> python.org",
            "> exit",
            "",
            "Exit code: 7"
        ]
    );
    let run = listing!("nslookup_communicate").env("PATH", nslookup.first());
    assert_eq!(
        run.arg("rust-lang.org").run().success()[2],
        "> rust-lang.org"
    );
}

#[test]
fn popen_options_shows_each_option_at_work() {
    let mut lines = listing!("popen_options").tempo(20).run().success();
    let pid = lines.remove(13);
    pid.strip_prefix("pid: ").unwrap().parse::<u32>().unwrap();
    let (path, text) = lines[10].split_once(": ").unwrap();
    let path = path.strip_prefix("stdout=").unwrap();
    assert!(!Path::new(path).exists(), "{path} is left behind");
    assert_eq!(text, "hello");
    lines.remove(10);
    assert_eq!(
        lines,
        [
            "shell: 2",
            "cwd: /",
            "env: hello",
            "executable: another name",
            "preexec_fn: 64",
            "start_new_session: the child leads a session",
            "restore_signals: -13",
            "close_fds: closed",
            "pass_fds: open",
            "an inheritable descriptor: open",
            "stdout=DEVNULL: nothing",
            "bufsize: 3",
            "poll(): None",
            "wait(timeout): `/bin/sh -c cat` did not end within 50ms: call again \
             to go on waiting, or end it with terminate() or kill().",
            "communicate(input, timeout): (Some(\"input\"), None)",
            "returncode: Some(0)",
            "call(timeout): -9",
        ]
    );
}

#[test]
fn popen_options_names_the_file_that_it_cannot_write() {
    let run = listing!("popen_options").env("TMPDIR", "/no/such").run();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    assert!(
        run.errors[0].starts_with("Error: /no/such/popen_options-"),
        "{run:#?}"
    );
}

#[test]
fn popen_streams_keeps_output_and_errors_apart() {
    let mut lines = listing!("popen_streams").run().success();
    let pid = lines.remove(0);
    let pid = pid.strip_prefix("subprocess pid: ").unwrap();
    pid.parse::<u32>().unwrap();
    assert_eq!(
        lines,
        [
            "",
            "STDOUT:",
            "hello world!~",
            "",
            "STDERR:",
            "These strings are from stdin."
        ]
    );
}

#[test]
fn communicate_chain_adds_one_five_times() {
    let mut expected = vec![String::new(), "Sum of Processes : 5".into()];
    for sum in 1..=5 {
        expected.push(String::new());
        expected.push(format!("{sum} bouquet of flowers!"));
    }
    expected.push(String::new());
    assert_eq!(listing!("communicate_chain").run().success(), expected);
}

#[test]
fn increment_first_says_what_it_wants() {
    let run = listing!("increment_first").input("one flower\n").run();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    assert_eq!(
        run.errors,
        ["Error: The first word of the line must be a number, not \"one\"."]
    );
}
