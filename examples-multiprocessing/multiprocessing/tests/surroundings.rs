//! Processes in unusual surroundings: closed standard descriptors, blocked signals, a
//! tracer, other namespaces, other rights.
//!
//! A process that forks must have one thread, and a test has several: so this program
//! starts itself as its own subject, under `SUBJECT`, and looks on from outside.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, exit};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

use libtest_mimic::{Arguments, Trial};
use multiprocessing::{
    Connection, Pool, Process, Queue, StartMethod, freeze_support, pipe,
};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::ptrace;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::unistd::{Pid, close, getuid};
use tutorial::harness::{Listing, unique};

/// Far beyond what anything here takes, so that only a hang meets it.
const HANG: Duration = Duration::from_secs(20);

/// Every claim with the subject that it is about, and whether it needs root.
const CLAIMS: [(&str, fn(), bool); 10] = [
    (
        "children_work_in_a_program_that_closed_its_standard_descriptors",
        closed,
        false,
    ),
    (TELLS_WHY, shares_too_early, false),
    (
        "terminate_ends_a_child_whose_parent_blocks_its_signals",
        blocked,
        false,
    ),
    (
        "a_child_blocks_none_of_the_real_time_signals_that_its_parent_blocks",
        blocked_real_time,
        false,
    ),
    ("a_stop_that_a_tracer_sees_is_not_an_end", traced, false),
    (
        "a_second_freeze_support_closes_nothing",
        frozen_twice,
        false,
    ),
    (
        "an_order_for_another_program_is_refused",
        other_program,
        false,
    ),
    (
        "a_program_that_a_child_starts_is_not_a_child",
        helper,
        false,
    ),
    (
        "a_child_in_another_namespace_is_not_an_orphan",
        namespace,
        true,
    ),
    ("ctrl_c_ends_the_first_process_of_a_namespace", first, true),
];

const TELLS_WHY: &str = "a_child_that_cannot_run_its_function_tells_its_parent_why";

fn main() {
    let subject = env::var("SUBJECT").unwrap_or_default();
    if env::var_os("MULTIPROCESSING_ORDER").is_some() {
        // An order stays in the environment of a process that has threads.
        thread::spawn(thread::park);
        if subject == TELLS_WHY {
            Queue::<u32>::new(0).unwrap();
        }
    }
    if !subject.is_empty() {
        freeze_support();
    }
    if subject == "rights" {
        return rights();
    }
    if let Some((_, run, _)) = CLAIMS.iter().find(|(name, ..)| *name == subject) {
        return run();
    }
    let mut trials: Vec<_> = CLAIMS
        .iter()
        .map(|&(name, _, root)| {
            let trial = Trial::test(name, move || {
                start(name).run().success();
                Ok(())
            });
            let skip = root && !getuid().is_root();
            if skip {
                println!("NOT ROOT: {name} is skipped.");
            }
            trial.with_ignored_flag(skip)
        })
        .collect();
    trials.push(
        Trial::test("a_set_user_id_program_refuses_to_spawn", || {
            set_user_id_program_refuses_to_spawn();
            Ok(())
        })
        .with_ignored_flag(!getuid().is_root()),
    );
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn start(subject: &str) -> Listing {
    let this = env::current_exe().unwrap();
    Listing::new(this.to_str().unwrap()).env("SUBJECT", subject)
}

/// Ends the subject with the code unless it holds: its standard error may be closed.
fn insist(holds: bool, code: i32) {
    if !holds {
        exit(code);
    }
}

fn put_seven(queue: Queue<u32>) {
    println!("to nobody");
    eprintln!("to nobody");
    queue.put(7).unwrap();
}

fn closed() {
    for fd in 0..3 {
        close(fd).unwrap();
    }
    let queue = Queue::new(0).unwrap();
    let (here, there) = pipe(true).unwrap();
    insist(is_above_standard(&here) && is_above_standard(&there), 10);
    let forked = Process::new(|| put_seven(queue.clone()));
    let spawned = Process::spawned(put_seven, queue.clone());
    for (mut process, code) in [(forked, 20), (spawned, 30)] {
        insist(process.start().is_ok(), code);
        insist(
            process.join_timeout(HANG).is_ok_and(|ended| ended),
            code + 1,
        );
        insist(process.exitcode() == Some(0), code + 2);
        insist(
            queue.get_timeout(HANG).is_ok_and(|item| item == 7),
            code + 3,
        );
    }
    let pool = Pool::new(2).unwrap_or_else(|_| exit(40));
    insist(pool.map(double, 0..10).is_ok_and(|all| all[9] == 18), 41);
}

/// The child shares something before it takes its order.
fn shares_too_early() {
    const WHY: &str =
        "something was shared already: call freeze_support first in main";
    for fd in 0..3 {
        close(fd).unwrap();
    }
    let told = |error: &dyn ToString| error.to_string().contains(WHY);
    let mut process = Process::spawned(|()| (), ());
    insist(process.start().is_ok(), 50);
    insist(process.join().is_err_and(|error| told(&error)), 51);
    let ended = process.join_timeout(HANG);
    insist(ended.is_err_and(|error| told(&error)), 52);
    insist(process.exitcode() == Some(1), 53);
    let pool = Pool::builder().start_method(StartMethod::Spawn).start();
    insist(pool.is_err_and(|error| told(&error)), 54);
}

fn double(number: u32) -> u32 {
    println!("to nobody");
    2 * number
}

fn is_above_standard(connection: &Connection) -> bool {
    connection.as_fd().as_raw_fd() > 2
}

fn sleep_long(_: ()) {
    thread::sleep(3 * HANG);
}

fn blocked() {
    SigSet::all().thread_block().unwrap();
    for mut process in [
        Process::new(|| sleep_long(())),
        Process::spawned(sleep_long, ()),
    ] {
        process.start().unwrap();
        process.terminate().unwrap();
        assert!(process.join_timeout(HANG).unwrap(), "{process:?}");
        assert_eq!(process.exitcode(), Some(-(Signal::SIGTERM as i32)));
    }
}

#[expect(unsafe_code, reason = "nix knows no real-time signals")]
fn blocked_real_time() {
    let blocked = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("SigBlk:\t"));
        u64::from_str_radix(line.unwrap(), 16).unwrap()
    };
    let mut set = *SigSet::empty().as_ref();
    // SAFETY: the set is this function's own, and the signal exists.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGRTMIN() + 1) };
    let nobody = std::ptr::null_mut();
    // SAFETY: the set outlives the call, and the null pointer asks for no answer.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, nobody) };
    assert_ne!(blocked(), 0);
    ends_well(Process::new(|| assert_eq!(blocked(), 0)));
    assert_ne!(blocked(), 0);
}

fn traced() {
    let mut process = Process::new(|| {
        ptrace::traceme().unwrap();
        raise(Signal::SIGSTOP).unwrap();
        std::process::ExitCode::from(7)
    });
    process.start().unwrap();
    let pid = Pid::from_raw(process.pid().unwrap());
    let state = format!("/proc/{pid}/stat");
    let start = Instant::now();
    while !fs::read_to_string(&state).unwrap().contains(") t ") {
        assert!(start.elapsed() < HANG, "the child never stops");
        thread::yield_now();
    }
    assert!(process.is_alive());
    assert!(!process.join_timeout(Duration::from_millis(20)).unwrap());
    assert_eq!(process.exitcode(), None);
    ptrace::detach(pid, None).unwrap();
    process.join().unwrap();
    assert_eq!(process.exitcode(), Some(7));
}

/// Runs it, and insists on exit code 0.
fn ends_well(mut process: Process<'_>) {
    process.start().unwrap();
    assert!(process.join_timeout(HANG).unwrap());
    assert_eq!(process.exitcode(), Some(0));
}

fn frozen_twice() {
    fn child(_: ()) {
        let files: Vec<_> =
            (0..20).map(|_| File::open("/dev/null").unwrap()).collect();
        freeze_support();
        for file in &files {
            fcntl(file, FcntlArg::F_GETFD).unwrap();
        }
    }
    ends_well(Process::spawned(child, ()));
}

fn other_program() {
    let order = memfd_create("order", MFdFlags::MFD_ALLOW_SEALING).unwrap();
    let mut order = File::from(order);
    // The program's device and number, and all else, are 0.
    order.write_all(&[0; 9]).unwrap();
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&order, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    let addressed = format!("{}:{}:2", order.as_raw_fd(), std::process::id());
    let run = Command::new(env::current_exe().unwrap())
        .env("MULTIPROCESSING_ORDER", addressed)
        .env("SUBJECT", "rights")
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let why = String::from_utf8_lossy(&run.stderr);
    assert!(why.contains("not addressed to it"), "{run:?}");
    assert_eq!(run.stdout, b"", "{run:?}");
}

fn helper() {
    fn child(_: ()) {
        let helper = Command::new(env::current_exe().unwrap())
            .env(
                "MULTIPROCESSING_ORDER",
                format!("9:{}:8", nix::unistd::getppid()),
            )
            .env("SUBJECT", "rights")
            .output()
            .unwrap();
        assert_eq!(helper.stdout, b"spawned: Some(0)\n", "{helper:?}");
    }
    ends_well(Process::spawned(child, ()));
}

fn namespace() {
    unshare(CloneFlags::CLONE_NEWPID).unwrap();
    // The first child is the first process of the new namespace; those after it need it.
    let (first_lives, end) = pipe(false).unwrap();
    let mut first = Process::new(|| drop(first_lives.recv::<()>()));
    first.start().unwrap();
    let mut forked = Process::new(|| println!("forked"));
    forked.start().unwrap();
    forked.join().unwrap();
    let mut spawned = Process::spawned(|()| println!("spawned"), ());
    spawned.start().unwrap();
    spawned.join().unwrap();
    assert_eq!((forked.exitcode(), spawned.exitcode()), (Some(0), Some(0)));
    end.send(&()).unwrap();
    first.join().unwrap();
}

fn first() {
    if std::process::id() == 1 {
        let mut process = Process::new(|| sleep_long(()));
        process.start().unwrap();
        println!("started");
        io::stdout().flush().unwrap();
        process.join().unwrap();
        return;
    }
    unshare(CloneFlags::CLONE_NEWPID).unwrap();
    let mut container = Command::new(env::current_exe().unwrap())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = io::BufReader::new(container.stdout.take().unwrap());
    io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "started\n");
    kill(Pid::from_raw(container.id().cast_signed()), Signal::SIGINT).unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = container.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > HANG {
            container.kill().unwrap();
            panic!("Ctrl+C does not end it");
        }
        thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(status.code(), Some(128 + Signal::SIGINT as i32));
}

/// Prints what becomes of a spawned child, or why there is none.
fn rights() {
    let mut process = Process::spawned(|()| (), ());
    match process.start() {
        Ok(()) => {
            process.join().unwrap();
            println!("spawned: {:?}", process.exitcode());
        }
        Err(error) => println!("{error}"),
    }
}

fn set_user_id_program_refuses_to_spawn() {
    let folder = env::temp_dir().join(unique("rights"));
    fs::create_dir(&folder).unwrap();
    let program = folder.join("program");
    let run = set_user_id_copy(&program);
    fs::remove_dir_all(&folder).unwrap();
    // A file system may be mounted so that these bits mean nothing.
    if run == ["spawned: Some(0)"] {
        println!("NO SET-USER-ID PROGRAMS HERE: nothing was tried.");
        return;
    }
    assert_eq!(
        run,
        [
            "This program runs with other rights than its caller's, and takes no orders \
             from its environment: start processes by fork."
        ]
    );
}

/// What a copy of this program prints that runs with the rights of user 65534.
fn set_user_id_copy(program: &Path) -> Vec<String> {
    fs::copy(env::current_exe().unwrap(), program).unwrap();
    chown(program, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(program, Permissions::from_mode(0o4755)).unwrap();
    Listing::new(program.to_str().unwrap())
        .env("SUBJECT", "rights")
        // It is not even looked at.
        .env("MULTIPROCESSING_ORDER", "nonsense")
        .run()
        .success()
}
