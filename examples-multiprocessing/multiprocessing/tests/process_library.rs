//! What processes promise and no listing shows.
//!
//! A process that forks must have one thread, and a test has several: so this program
//! starts itself as its own subject, under `SUBJECT`, and looks on from outside.

use std::fmt::Write as _;
use std::io::{Write as _, stdin, stdout};
use std::os::fd::AsFd;
use std::process::{self, ExitCode};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use libtest_mimic::{Arguments, Trial};
use multiprocessing::{
    Connection, Lock, Process, ProcessError, SharedMemory, active_children,
    current_process, freeze_support, parent_process, pipe,
};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, kill, killpg, raise, signal};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid};
use tutorial::harness::{Listing, Random, named};

/// Every subject with its function. `claims` says what it must do.
const SUBJECTS: &[(&str, fn())] = named![
    threads,
    forked_relatives,
    spawned_relatives,
    forked_victims,
    spawned_victims,
    exit_codes,
    panics,
    names,
    end_of_main,
    exit_with_children,
    stubborn_daemon,
    stopped_daemons,
    daemon_without_descriptors,
    half_a_line,
    own_forks,
    fresh_start,
    arguments,
    unsupported,
    errors,
    reaped_by_others,
    blocks_and_end,
];

fn main() {
    let subject = env::var("SUBJECT").unwrap_or_default();
    if let Some((_, run)) = SUBJECTS.iter().find(|(name, _)| *name == subject) {
        if subject != "unsupported" {
            freeze_support();
        }
        return run();
    }
    // Orphans become children of this process, which counts them.
    prctl::set_child_subreaper(true).unwrap();
    libtest_mimic::run(&Arguments::from_args(), claims()).exit();
}

fn start(subject: &str) -> Listing {
    let this = env::current_exe().unwrap();
    Listing::new(this.to_str().unwrap()).env("SUBJECT", subject)
}

fn claims() -> Vec<Trial> {
    let claim = |name: &str, claim: fn()| {
        Trial::test(name, move || {
            claim();
            Ok(())
        })
    };
    vec![
        claim(
            "a_fork_is_refused_beside_threads_and_a_spawn_is_not",
            || {
                assert_eq!(
                    start("threads").run().success(),
                    [
                        "2 other threads are running, and a fork could hang on a lock that \
                     one of them holds: start processes before threads, or start this \
                     one by spawn.",
                        "spawned beside threads: Some(0)",
                        "forked after them: Some(0)",
                    ]
                );
            },
        ),
        claim(
            "ctrl_c_ends_a_family_of_eleven_by_the_signal_and_silently",
            || {
                for family in ["forked_relatives", "spawned_relatives"] {
                    let mut run = start(family).start();
                    run.line_with("all there");
                    run.signal(Signal::SIGINT);
                    run.ends_by(Signal::SIGINT);
                }
            },
        ),
        claim(
            "a_signal_to_the_parent_alone_ends_all_of_its_family",
            || {
                for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGINT] {
                    for family in ["forked_relatives", "spawned_relatives"] {
                        let mut run = start(family).start();
                        run.line_with("all there");
                        kill(run.pid(), signal).unwrap();
                        run.ends_by(signal);
                    }
                }
            },
        ),
        claim("a_parent_killed_at_any_instant_leaves_nobody", || {
            let mut random = Random::seeded();
            for round in 0..120 {
                let family = ["forked_relatives", "spawned_relatives"][round % 2];
                let run = start(family).start();
                thread::sleep(Duration::from_micros(random.below(15_000)));
                kill(run.pid(), Signal::SIGKILL).unwrap();
                run.ends_by(Signal::SIGKILL);
            }
        }),
        claim(
            "a_child_killed_at_any_instant_is_told_and_leaves_nothing",
            || {
                for victims in ["forked_victims", "spawned_victims"] {
                    let seed = Random::seeded().0.to_string();
                    let run = start(victims).env("SEED", seed).run();
                    assert_eq!(run.success(), ["nothing left"]);
                }
            },
        ),
        claim("an_exit_code_tells_how_a_process_ended", || {
            let run = start("exit_codes").run();
            assert!(run.status.success());
            let codes = "[0, 3, 4, 1, 0, -6, -9, -34]";
            assert_eq!(
                run.lines,
                [format!("fork {codes}"), format!("spawn {codes}")]
            );
            assert_eq!(run.errors, ["Error: 7", "Error: 7"]);
        }),
        claim("a_panic_is_one_line_with_name_message_and_place", || {
            let run = start("panics").env("RUST_BACKTRACE", "1").run();
            assert_eq!(run.lines, ["Some(1)", "Some(1)", "Some(1)"]);
            let place = |line: &str, beginning: &str| {
                let place = line.strip_prefix(beginning).unwrap_or_else(|| {
                    panic!("{line:?} does not begin with {beginning:?}")
                });
                assert!(place.contains("tests/process_library.rs:"), "{place}");
            };
            place(&run.errors[0], "Process-1: forked 7 (");
            place(&run.errors[1], "Jack: spawned (");
            assert_eq!(
                run.errors[2].split(" (").next().unwrap(),
                "Process-3: a panic whose value is not a text"
            );
            assert_eq!(run.errors.len(), 3, "{:#?}", run.errors);
        }),
        claim("names_count_as_in_python", || {
            assert_eq!(
                start("names").run().success(),
                [
                    "MainProcess of None",
                    "Process-1 of MainProcess",
                    "Process-1:1 of Process-1",
                    "Process-1:2 of Process-1",
                    "Jack of MainProcess",
                    "Process-3 of MainProcess",
                    "Process-3:1 of Process-3",
                ]
            );
        }),
        claim(
            "at_its_end_a_process_waits_for_children_and_ends_daemons",
            || {
                let run = start("end_of_main").run();
                assert_eq!(
                    tutorial::harness::sorted(run.success()),
                    ["child", "child of child", "main"]
                );
                let run = start("exit_with_children").run();
                assert_eq!(run.status.code(), Some(5));
                assert_eq!(tutorial::harness::sorted(run.lines), ["child", "main"]);
            },
        ),
        claim("a_daemon_that_ignores_sigterm_is_killed_in_the_end", || {
            let run = start("stubborn_daemon").start();
            let group = Pid::from_raw(-run.pid().as_raw());
            assert_eq!(run.finish().success(), ["main", "asked"]);
            // Its own parent has reaped it.
            assert_eq!(waitpid(group, None), Err(Errno::ECHILD));
        }),
        claim(
            "many_daemons_that_are_slow_to_end_are_waited_for_at_once",
            || {
                let mut run = start("stopped_daemons").start();
                let group = Pid::from_raw(-run.pid().as_raw());
                run.line_with("main");
                let asked = Instant::now();
                assert_eq!(run.finish().success(), ["main"]);
                // A second is given to all, not to each of thirty.
                assert!(asked.elapsed() < Duration::from_secs(15));
                assert_eq!(waitpid(group, None), Err(Errno::ECHILD));
            },
        ),
        claim("a_daemon_that_cannot_be_watched_has_time_to_end", || {
            let run = start("daemon_without_descriptors").run();
            assert_eq!(run.success(), ["main", "asked", "ended"]);
        }),
        claim("what_was_printed_before_a_start_is_printed_once", || {
            assert_eq!(
                start("half_a_line").run().success(),
                ["half a line, the child's half, the parent's"]
            );
        }),
        claim(
            "a_process_forked_otherwise_has_no_children_to_wait_for",
            || {
                assert_eq!(
                    start("own_forks").run().success(),
                    ["[]", "child", "done"]
                );
            },
        ),
        claim("a_child_starts_afresh", || {
            let run = start("fresh_start").input("for the parent\n").run();
            let lines = run.success();
            assert_eq!(
                lines,
                [
                    "fork: stdin \"\", 0 children",
                    "fork: ended by Some(-15)",
                    "spawn: stdin \"\", 0 children",
                    "spawn: ended by Some(-15)",
                    "parent: stdin \"for the parent\\n\"",
                ]
            );
        }),
        claim("arguments_and_handles_reach_a_spawned_process", || {
            let run = start("arguments").arg("of").arg("the program").run();
            assert_eq!(
                run.success(),
                [
                    "args [\"of\", \"the program\"]",
                    "order in the environment: false",
                    // The registry of processes, and the lifeline.
                    "descriptors of the library: 2",
                    "of these left to its own programs: 0",
                    "[1, 2] \"three\" held: true",
                    "answer: 42",
                ]
            );
        }),
        claim("a_spawn_without_freeze_support_is_refused", || {
            assert_eq!(
                start("unsupported").run().success(),
                [
                    "A spawned process would run main again: call freeze_support at its beginning."
                ]
            );
        }),
        claim("a_false_order_is_refused", || {
            for order in ["", "x", "-1", "2", "99"] {
                let run = start("names").env("MULTIPROCESSING_ORDER", order).run();
                assert_eq!(run.status.code(), Some(1), "{run:#?}");
                assert!(run.lines.is_empty(), "{run:#?}");
            }
        }),
        claim("a_child_that_others_reap_ends_with_an_unknown_code", || {
            let run = start("reaped_by_others").run();
            assert_eq!(run.success(), ["Some(255)", "Some(255)"]);
        }),
        claim("blocks_go_with_a_group_that_is_killed_at_once", || {
            for _ in 0..50 {
                let run = start("blocks_and_end").start();
                let blocks = blocks_of(run.pid());
                let run = run.finish();
                assert_eq!(run.signal(), Some(9), "{run:#?}");
                let end = Instant::now();
                for block in blocks.map(|name| format!("/dev/shm/{name}")) {
                    while fs::exists(&block).unwrap() {
                        assert!(
                            end.elapsed() < Duration::from_secs(5),
                            "{block} is left"
                        );
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            }
        }),
        claim("errors_of_use_are_values", || {
            assert_eq!(start("errors").run().success(), ["as it should be"]);
        }),
    ]
}

fn say(line: &str) {
    println!("{line}");
}

fn run(mut p: Process) -> Option<i32> {
    p.start().unwrap();
    p.join().unwrap();
    p.exitcode()
}

fn threads() {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let ended = std::sync::Mutex::new(ended);
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| ended.lock().unwrap().recv());
        }
        let mut p = Process::new(|| ());
        say(&p.start().unwrap_err().to_string());
        assert!(!p.is_alive());
        let code = run(Process::spawned(|()| (), ()));
        say(&format!("spawned beside threads: {code:?}"));
        drop(end);
    });
    // Those two have ended, though their last steps may still be under way.
    for _ in 0..100 {
        thread::scope(|s| {
            s.spawn(|| ());
        });
        assert_eq!(run(Process::new(|| ())), Some(0));
        thread::spawn(|| ()).join().unwrap();
        assert_eq!(run(Process::new(|| ())), Some(0));
    }
    say(&format!(
        "forked after them: {:?}",
        run(Process::new(|| ()))
    ));
}

fn sleep() {
    loop {
        thread::sleep(Duration::from_secs(100));
    }
}

/// Has a child of its own, and both sleep.
fn generation(ready: &Connection) {
    let mut p = Process::new(|| {
        let _unless_killed = ready.send(&());
        sleep();
    });
    p.start().unwrap();
    sleep();
}

fn forked_relatives() {
    let (count, ready) = pipe(false).unwrap();
    for _ in 0..5 {
        Process::new(|| generation(&ready)).start().unwrap();
    }
    (0..5).for_each(|_| count.recv().unwrap());
    say("all there");
    sleep();
}

fn spawned_relatives() {
    let spawn = |_| {
        let (count, ready) = pipe(false).unwrap();
        let mut p = Process::spawned(|ready: Connection| generation(&ready), ready);
        p.start().unwrap();
        count
    };
    // That this thread ends must not end what it has started.
    let counts = thread::spawn(move || (0..5).map(spawn).collect::<Vec<_>>());
    for count in counts.join().unwrap() {
        count.recv::<()>().unwrap();
    }
    say("all there");
    sleep();
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Those that this process's starter left open for all that it starts: the standard
/// three, and what else it has no use for itself.
fn inheritable_files() -> usize {
    (0..1024)
        .filter(|fd| {
            let flags = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}"));
            flags.is_ok_and(|info| {
                let flags = info.lines().find_map(|l| l.strip_prefix("flags:\t"));
                let flags = u32::from_str_radix(flags.unwrap(), 8).unwrap();
                flags & nix::libc::O_CLOEXEC as u32 == 0
            })
        })
        .count()
}

fn forked_victims() {
    victims(200, || Process::new(victim));
}

fn spawned_victims() {
    victims(60, || Process::spawned(|()| victim(), ()));
}

fn victim() {
    let mut p = Process::new(|| thread::sleep(Duration::from_micros(100)));
    p.start().unwrap();
    p.join().unwrap();
}

fn victims(rounds: u32, victim: impl Fn() -> Process<'static>) {
    let mut random = Random(env::var("SEED").unwrap().parse().unwrap());
    run(victim()); // Opens what stays open.
    let files = open_files();
    for _ in 0..rounds {
        let mut p = victim();
        p.start().unwrap();
        thread::sleep(Duration::from_micros(random.below(2_000)));
        if random.below(2) == 0 {
            p.sentinel().unwrap();
        }
        p.kill().unwrap();
        assert!(p.join_timeout(Duration::from_secs(20)).unwrap());
        assert!(matches!(p.exitcode(), Some(0 | -9)), "{p:?}");
        assert!(readable_sentinel(&p));
    }
    assert!(active_children().is_empty());
    assert_eq!(waitpid(None, None), Err(Errno::ECHILD), "a zombie is left");
    assert_eq!(open_files(), files);
    say("nothing left");
}

/// Whether its sentinel is readable.
fn readable_sentinel(p: &Process) -> bool {
    let sentinel = p.sentinel().unwrap();
    let mut fds = [nix::poll::PollFd::new(
        sentinel.as_fd(),
        nix::poll::PollFlags::POLLIN,
    )];
    nix::poll::poll(&mut fds, 0u8) == Ok(1)
}

#[expect(
    unsafe_code,
    reason = "nix leaves it to the caller to set a signal's action"
)]
fn reaped_by_others() {
    let mut p = Process::new(|| ());
    p.start().unwrap();
    waitpid(Pid::from_raw(p.pid().unwrap()), None).unwrap();
    assert!(p.join_timeout(Duration::from_secs(20)).unwrap());
    say(&format!("{:?}", p.exitcode()));

    // SAFETY: no handler is installed, and none was before.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
    say(&format!("{:?}", run(Process::new(|| ()))));
}

fn blocks_of(owner: Pid) -> [String; 2] {
    [1, 2].map(|number| format!("process-library-{owner}-{number}"))
}

fn blocks_and_end() {
    let _blocks =
        blocks_of(getpid()).map(|name| SharedMemory::create(&name, 1).unwrap());
    // Its watcher must have left the group already.
    killpg(getpid(), Signal::SIGKILL).unwrap();
}

/// The ways to end.
fn end(way: u8) -> Result<ExitCode, i32> {
    match way {
        0 => Ok(ExitCode::SUCCESS),
        1 => Ok(ExitCode::from(3)),
        2 => process::exit(4),
        3 => Err(7),
        4 => process::exit(256),
        5 => process::abort(),
        6 => {
            raise(Signal::SIGKILL).unwrap();
            unreachable!()
        }
        _ => {
            // A real-time signal, which has no name.
            let pid = process::id().to_string();
            process::Command::new("kill")
                .args(["-34", &pid])
                .status()
                .unwrap();
            unreachable!()
        }
    }
}

fn exit_codes() {
    let codes: Vec<_> = (0..8)
        .map(|way| run(Process::new(|| end(way))).unwrap())
        .collect();
    say(&format!("fork {codes:?}"));
    let codes: Vec<_> = (0..8)
        .map(|way| run(Process::spawned(end, way)).unwrap())
        .collect();
    say(&format!("spawn {codes:?}"));
}

fn panics() {
    let seven = 7;
    let code = run(Process::new(|| panic!("forked {seven}")));
    say(&format!("{code:?}"));
    let p = Process::builder().name("Jack");
    let code = run(p.spawn_target(|()| panic!("spawned"), ()));
    say(&format!("{code:?}"));
    let code = run(Process::new(|| std::panic::panic_any(7)));
    say(&format!("{code:?}"));
}

fn print_name() {
    let parent = parent_process().map(|parent| parent.name().to_string());
    let parent = parent.unwrap_or_else(|| "None".into());
    say(&format!("{} of {parent}", current_process().name()));
}

fn names() {
    print_name();
    run(Process::new(|| {
        print_name();
        run(Process::new(print_name));
        run(Process::new(print_name));
    }));
    run(Process::builder().name("Jack").target(print_name));
    run(Process::spawned(
        |()| {
            print_name();
            run(Process::new(print_name));
        },
        (),
    ));
}

fn end_of_main() {
    let mut daemon = Process::builder().daemon(true).target(sleep);
    daemon.start().unwrap();
    let mut p = Process::new(|| {
        let mut p = Process::spawned(
            |()| {
                thread::sleep(Duration::from_millis(100));
                say("child of child");
            },
            (),
        );
        p.start().unwrap();
        let mut daemon = Process::builder()
            .daemon(true)
            .spawn_target(|()| sleep(), ());
        daemon.start().unwrap();
        say("child");
    });
    p.start().unwrap();
    say("main");
}

fn exit_with_children() {
    Process::builder()
        .daemon(true)
        .target(sleep)
        .start()
        .unwrap();
    let mut p = Process::new(|| {
        thread::sleep(Duration::from_millis(100));
        say("child");
    });
    p.start().unwrap();
    say("main");
    process::exit(5);
}

fn stubborn_daemon() {
    let (told, tell) = pipe(false).unwrap();
    let mut p = Process::builder().daemon(true).target(|| {
        let asked = signal_hook::consts::SIGTERM;
        let mut asked = signal_hook::iterator::Signals::new([asked]).unwrap();
        tell.send(&()).unwrap();
        for _ in asked.forever() {
            say("asked");
        }
    });
    p.start().unwrap();
    told.recv::<()>().unwrap();
    say("main");
}

fn stopped_daemons() {
    for _ in 0..30 {
        let stop = || raise(Signal::SIGSTOP).unwrap();
        let mut p = Process::builder().daemon(true).target(stop);
        p.start().unwrap();
        let stat = format!("/proc/{}/stat", p.pid().unwrap());
        while !fs::read_to_string(&stat).unwrap().contains(") T ") {
            thread::sleep(Duration::from_millis(1));
        }
    }
    say("main");
}

fn daemon_without_descriptors() {
    let (told, tell) = pipe(false).unwrap();
    let mut p = Process::builder().daemon(true).target(|| {
        let asked = signal_hook::consts::SIGTERM;
        let mut asked = signal_hook::iterator::Signals::new([asked]).unwrap();
        tell.send(&()).unwrap();
        asked.forever().next();
        say("asked");
        thread::sleep(Duration::from_millis(100));
        say("ended");
    });
    p.start().unwrap();
    told.recv::<()>().unwrap();
    say("main");
    setrlimit(Resource::RLIMIT_NOFILE, 0, 0).unwrap();
}

fn half_a_line() {
    print!("half a line");
    let mut p = Process::new(|| print!(", the child's half"));
    p.start().unwrap();
    p.join().unwrap();
    println!(", the parent's");
}

#[expect(unsafe_code, reason = "the library does not learn of this fork")]
fn own_forks() {
    let (told, tell) = pipe(false).unwrap();
    let mut p = Process::new(|| {
        told.recv::<()>().unwrap();
        say("child");
    });
    p.start().unwrap();
    // SAFETY: this process has one thread.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            assert!(matches!(p.join(), Err(ProcessError::NotAChild)));
            say(&format!("{:?}", active_children()));
            process::exit(0);
        }
        nix::unistd::ForkResult::Parent { child } => {
            waitpid(child, None).unwrap();
        }
    }
    tell.send(&()).unwrap();
    p.join().unwrap();
    say("done");
}

fn fresh_start() {
    // A handler that would swallow the signal, and a pipe that both would write to.
    let mut signals = signal_hook::iterator::Signals::new([15]).unwrap();
    Process::builder()
        .daemon(true)
        .target(sleep)
        .start()
        .unwrap();
    let child = |how: &str| {
        let mut line = String::new();
        stdin().read_line(&mut line).unwrap();
        say(&format!(
            "{how}: stdin {line:?}, {} children",
            active_children().len()
        ));
        stdout().flush().unwrap();
        raise(Signal::SIGTERM).unwrap();
    };
    let code = run(Process::new(|| child("fork")));
    say(&format!("fork: ended by {code:?}"));
    let code = run(Process::spawned(
        |how: String| {
            let mut line = String::new();
            stdin().read_line(&mut line).unwrap();
            say(&format!(
                "{how}: stdin {line:?}, {} children",
                active_children().len()
            ));
            raise(Signal::SIGTERM).unwrap();
        },
        "spawn".to_string(),
    ));
    say(&format!("spawn: ended by {code:?}"));
    assert_eq!(
        signals.pending().count(),
        0,
        "the child's signal reached the parent"
    );
    let mut line = String::new();
    stdin().read_line(&mut line).unwrap();
    say(&format!("parent: stdin {line:?}"));
}

fn arguments() {
    type Arguments = (usize, Vec<u8>, String, Lock, Connection);
    fn child((from_outside, list, text, lock, answer): Arguments) {
        let args: Vec<_> = env::args().skip(1).collect();
        say(&format!("args {args:?}"));
        let order = env::var_os("MULTIPROCESSING_ORDER").is_some();
        say(&format!("order in the environment: {order}"));
        // One is the folder itself, and two are the lock's and the pipe's.
        let others = open_files() - from_outside - 1 - 2;
        say(&format!("descriptors of the library: {others}"));
        let ls = process::Command::new("ls").arg("/proc/self/fd").output();
        let left = String::from_utf8(ls.unwrap().stdout)
            .unwrap()
            .lines()
            .count();
        let left = left - from_outside - 1;
        say(&format!("of these left to its own programs: {left}"));
        let held = lock.try_acquire().is_none();
        let mut told = String::new();
        write!(told, "{list:?} {text:?} held: {held}").unwrap();
        say(&told);
        answer.send(&42).unwrap();
    }
    let (answers, answer) = pipe(false).unwrap();
    let lock = Lock::new().unwrap();
    lock.acquire();
    let from_outside = inheritable_files();
    let text = "three".to_string();
    let arguments = (from_outside, vec![1, 2], text, lock.clone(), answer);
    let p = Process::spawned(child, arguments);
    assert_eq!(run(p), Some(0));
    say(&format!("answer: {}", answers.recv::<i32>().unwrap()));
    lock.release().unwrap();
}

fn unsupported() {
    let mut p = Process::spawned(|()| (), ());
    say(&p.start().unwrap_err().to_string());
}

fn errors() {
    let mut p = Process::new(|| ());
    assert!(matches!(p.join(), Err(ProcessError::NotStarted)));
    assert!(matches!(p.terminate(), Err(ProcessError::NotStarted)));
    assert!(matches!(p.sentinel(), Err(ProcessError::NotStarted)));
    assert_eq!((p.pid(), p.exitcode(), p.is_alive()), (None, None, false));
    p.start().unwrap();
    assert!(matches!(p.start(), Err(ProcessError::AlreadyStarted)));
    assert!(p.pid().is_some() && p.ident() == p.pid());
    assert!(matches!(
        p.set_daemon(true),
        Err(ProcessError::DaemonAfterStart)
    ));
    p.join().unwrap();
    p.join().unwrap();
    p.terminate().unwrap(); // It takes no notice.
    p.close().unwrap();
    assert!(matches!(p.join(), Err(ProcessError::Closed)));
    assert!(matches!(p.start(), Err(ProcessError::Closed)));

    let mut p = Process::new(sleep);
    p.start().unwrap();
    assert!(matches!(p.close(), Err(ProcessError::StillRunning)));
    assert!(!p.join_timeout(Duration::from_millis(1)).unwrap());
    assert_eq!(active_children()[0].pid(), p.pid().unwrap());
    let sibling = run(Process::new(|| {
        assert!(matches!(p.join(), Err(ProcessError::NotAChild)));
        assert!(matches!(p.kill(), Err(ProcessError::NotAChild)));
        assert!(matches!(
            parent_process().unwrap().join(),
            Err(ProcessError::NotAChild)
        ));
        assert!(matches!(
            current_process().join(),
            Err(ProcessError::JoinOneself)
        ));
        assert!(
            parent_process().unwrap().is_alive() && current_process().is_alive()
        );
    }));
    assert_eq!(sibling, Some(0));
    p.kill().unwrap();
    p.join().unwrap();
    assert_eq!(p.exitcode(), Some(-9));

    let daemon = run(Process::builder().daemon(true).target(|| {
        let mut p = Process::new(|| ());
        assert!(p.daemon(), "inherited");
        assert!(matches!(p.start(), Err(ProcessError::DaemonHasNoChildren)));
    }));
    assert_eq!(daemon, Some(0));

    // What ties a spawned child to this process, no other process may hold.
    let mut p = Process::spawned(|()| sleep(), ());
    p.start().unwrap();
    let files = open_files();
    let sibling = run(Process::new(|| assert_eq!(open_files(), files - 1)));
    assert_eq!(sibling, Some(0));
    p.kill().unwrap();
    p.join().unwrap();

    // Joined by several threads at once, each gets the code.
    let p = &mut Process::spawned(|()| process::exit(9), ());
    p.start().unwrap();
    let handle = p.handle().unwrap();
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                handle.join().unwrap();
                assert_eq!(handle.exitcode(), Some(9));
            });
        }
    });
    assert_eq!(waitpid(None, None), Err(Errno::ECHILD));
    assert_eq!(current_process().pid(), getpid().as_raw());
    say("as it should be");
}
