//! Programs run to their end: V1 to V4, N6, N27.

use std::process::Command;

use crate::stand_ins::StandIns;
use tutorial::harness::listing;

/// What `ls -l` prints, asked without a listing.
fn ls() -> Vec<String> {
    let output = Command::new("ls").arg("-l").output().unwrap().stdout;
    let text = String::from_utf8(output).unwrap();
    text.lines().map(String::from).collect()
}

#[test]
fn call_prints_what_ls_prints() {
    assert_eq!(listing!("call").run().success(), ls());
}

#[test]
fn call_keeps_a_failure_to_itself() {
    let failing = StandIns::none().with("ls", "exit 3");
    listing!("call")
        .env("PATH", failing.first())
        .run()
        .success();
}

#[test]
fn call_shell_prints_what_ls_prints() {
    assert_eq!(listing!("call_shell").run().success(), ls());
}

#[test]
fn call_shell_goes_on_if_the_shell_fails() {
    for script in ["exit 3", "kill -KILL $PPID"] {
        let failing = StandIns::none().with("ls", script);
        listing!("call_shell")
            .env("PATH", failing.first())
            .run()
            .success();
    }
}

#[test]
fn check_call_passes_0_and_catches_3() {
    assert_eq!(
        listing!("check_call").run().success(),
        ["true: passed", "exit 3: returncode 3"]
    );
}

#[test]
fn check_output_shows_the_output_of_a_success_and_of_a_failure() {
    assert_eq!(
        listing!("check_output").run().success(),
        [
            r#"output: "Hello world\n""#,
            "returncode: 3",
            r#"output: "half\n""#,
        ]
    );
}

#[test]
fn run_functions_runs_protest_five_times() {
    assert_eq!(
        listing!("run_functions").run().success(),
        [
            "Hello world",
            "call () test: 0",
            "",
            "Hello world",
            "check_call() test: 0",
            "",
            r#"getstatusoutput() test: (0, "Hello world")"#,
            "",
            "getoutput() test: Hello world",
            "",
            r#"check_output() test: "Hello world\n""#,
        ]
    );
}

#[test]
fn nslookup_call_asks_for_the_host_and_prints_the_code() {
    let nslookup =
        StandIns::none().with("nslookup", "echo \"asked for $*\"; exit 7");
    let run = listing!("nslookup_call").env("PATH", nslookup.first());
    assert_eq!(
        run.run().success(),
        [
            "$ nslookup www.python.org",
            "asked for www.python.org",
            "Exit code: 7"
        ]
    );
    let run = listing!("nslookup_call").env("PATH", nslookup.first());
    assert_eq!(
        run.arg("localhost").run().success(),
        [
            "$ nslookup localhost",
            "asked for localhost",
            "Exit code: 7"
        ]
    );
}

#[test]
fn a_signal_is_a_negative_exit_code() {
    let killed = StandIns::none().with("nslookup", "kill -TERM $$");
    let run = listing!("nslookup_call").env("PATH", killed.first()).run();
    assert_eq!(run.success()[1], "Exit code: -15");
}
