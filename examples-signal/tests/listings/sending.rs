//! Signals sent and signals blocked: V15, V16.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use tutorial::harness::listing;

#[test]
fn send_signal_reaches_one_then_the_whole_group_and_no_other() {
    // One bystander in the test's own process group, one that leads a group.
    let mut bystanders = [None, Some(0)].map(|group| {
        let mut command = Command::new("cat");
        group.map(|group| command.process_group(group));
        command.stdin(Stdio::piped()).spawn().unwrap()
    });

    assert_eq!(
        listing!("send_signal").run().success(),
        [
            "kill: ended by 15",
            "killpg: ended by 15",
            "killpg: ended by 15",
            "killpg: ended by 15",
            "The bystander still runs",
            "kill: ended by 9",
        ]
    );

    for bystander in &mut bystanders {
        drop(bystander.stdin.take()); // It ends by itself, at the end of its input.
        assert!(bystander.wait().unwrap().success());
    }
}

#[test]
fn send_signal_says_what_it_could_not_start() {
    let run = listing!("send_signal").env("PATH", "/nowhere").run();
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    let sentence = "Error: cat: No such file or directory (os error 2)";
    assert_eq!(run.errors, [sentence]);
}

#[test]
fn block_signals_holds_them_back_and_waits_for_one() {
    assert_eq!(
        listing!("block_signals").run().success(),
        [
            "pending: [SIGUSR1, SIGUSR2]",
            "sigwait: SIGUSR1",
            "pending: [SIGUSR2]",
            "I received:  12",
            "pending: []",
        ]
    );
}
