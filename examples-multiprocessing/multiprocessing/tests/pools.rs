//! What a pool promises, whatever is done to it, started by fork and by spawn.
//!
//! A process that forks must have one thread, and a test has several. So this program
//! runs each test in a copy of itself, which finds the test's name in `SUBJECT` and the
//! start method in `METHOD`.

use std::collections::HashMap;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use std::{env, fs};

use libtest_mimic::{Arguments, Trial};
use multiprocessing::{
    Array, AsyncResult, Condition, Event, JoinableQueue, Lock, Pool, PoolBuilder,
    PoolError, Process, Queue, RLock, RawArray, Semaphore, SimpleQueue, StartMethod,
    TaskError, Value, active_children, current_process, freeze_support,
};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, kill, raise, signal};
use nix::unistd::{Pid, fork, getppid, getuid};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use signal_hook::consts::SIGINT;
use tutorial::harness::{Listing, Random, named};

/// What holds in a program with a pool: each claim is a function that asserts it, and is
/// run in a program of its own.
const CLAIMS: &[(&str, fn())] = named![
    values_come_back_in_order_whatever_their_types,
    a_panic_is_a_value_with_message_and_place,
    a_worker_that_ends_costs_its_task_alone,
    each_way_a_value_cannot_be_sent_has_its_own_error,
    #[cfg(feature = "broker")]
    a_local_pool_refuses_a_key_and_goes_on,
    a_failure_in_a_chunk_costs_no_other_task_of_it,
    a_handle_knows_whether_its_task_has_ended,
    imap_is_lazy_on_both_sides_and_takes_constant_memory,
    imap_knows_how_many_results_are_to_come,
    a_result_is_a_future_for_any_executor,
    a_callback_does_not_hold_up_a_future,
    a_task_beyond_its_deadline_ends_alone,
    a_cancelled_task_ends_alone,
    an_initializer_that_fails_ends_the_pool_with_its_reason,
    an_initializer_hands_locks_queues_and_shared_values_to_the_workers,
    idle_workers_may_die_at_any_rate_after_their_initializer,
    a_worker_ends_after_maxtasksperchild,
    a_closed_pool_finishes_the_tasks_it_has,
    a_worker_may_have_a_pool,
    a_fork_is_refused_beside_threads_a_spawn_is_not,
    several_threads_share_a_pool,
    a_fork_of_the_process_that_made_the_pool_cannot_use_it,
    a_giant_message_arrives_whole,
    inputs_that_panic_do_so_in_the_caller,
    a_pool_without_supervisor_says_so_within_a_second,
    a_pool_that_ends_before_it_is_closed_says_so_when_it_is_joined,
    a_kill_storm_costs_the_killed_tasks_alone,
    workers_that_run_are_looked_after_while_many_others_are_started,
    a_pool_of_which_a_process_is_stopped_can_be_ended,
    a_pool_whose_results_nobody_awaits_ends_with_its_program,
    a_pool_that_is_never_dropped_ends_with_its_program,
    a_task_beside_another_does_not_wait_for_a_sleeping_worker,
    a_change_by_another_thread_ends_a_wait,
    a_lost_task_is_reported_even_if_sigchld_is_ignored,
    a_task_that_forks_does_not_make_a_second_worker,
    without_memory_for_a_message_the_pool_says_so,
    a_worker_without_its_death_signal_ends_with_its_parent,
    ctrl_c_at_the_start_leaves_the_pool,
    a_pool_without_tasks_has_run_its_initializer,
];

/// What can be seen of a program from outside. The argument is the start method.
type Observation = fn(&str);
const OBSERVATIONS: &[(&str, Observation)] = named![
    a_process_that_a_task_forks_prints_its_panic,
    callbacks_come_one_at_a_time_and_before_join_returns,
    what_a_task_prints_comes_out_before_its_end_is_known,
    a_pool_that_cannot_start_all_its_workers_says_so,
    a_pool_whose_last_worker_cannot_be_replaced_says_so,
    ctrl_c_during_map_ends_everybody_silently,
    a_program_that_handles_ctrl_c_keeps_its_pool,
    a_killed_parent_takes_everybody_along,
];

/// The programs that are observed.
const SUBJECTS: &[(&str, fn())] = named![
    panic_in_a_forked_process,
    callbacks,
    half_a_line,
    too_few_processes,
    no_process_for_another_worker,
    interrupted,
    interrupted_with_initializer,
    endless_map,
    sleepers,
];

fn main() {
    let subject = env::var("SUBJECT").unwrap_or_default();
    let mut subjects = CLAIMS.iter().chain(SUBJECTS);
    if let Some((_, run)) = subjects.find(|(name, _)| *name == subject) {
        freeze_support();
        return run();
    }
    libtest_mimic::run(&Arguments::from_args(), trials()).exit();
}

fn start(subject: &str, method: &str) -> Listing {
    let this = env::current_exe().unwrap();
    Listing::new(this.to_str().unwrap())
        .env("SUBJECT", subject)
        .env("METHOD", method)
}

/// Every claim and observation under both start methods.
fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for method in ["fork", "spawn"] {
        for (name, _) in CLAIMS {
            trials.push(Trial::test(format!("{name}_by_{method}"), move || {
                start(name, method).run().success();
                Ok(())
            }));
        }
        for (name, observe) in OBSERVATIONS {
            trials.push(Trial::test(format!("{name}_by_{method}"), move || {
                observe(method);
                Ok(())
            }));
        }
    }
    trials
}

/// A pool with the start method of this run.
fn builder() -> PoolBuilder {
    Pool::builder().start_method(match env::var("METHOD").unwrap().as_str() {
        "fork" => StartMethod::Fork,
        _ => StartMethod::Spawn,
    })
}

fn pool(processes: usize) -> Pool {
    builder().processes(processes).start().unwrap()
}

fn finish(pool: &Pool) {
    pool.close();
    pool.join().unwrap();
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Waits until something holds, and fails if that takes too long.
#[track_caller]
fn soon(mut what: impl FnMut() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never was");
        sleep(ms(1));
    }
}

fn worker_pid() -> i32 {
    process::id().cast_signed()
}

fn nap(milliseconds: u64) -> u64 {
    sleep(ms(milliseconds));
    milliseconds
}

/// A task waits at a gate until the test lets it pass, however long that takes on a
/// busy machine.
struct Gate {
    entry: PipeReader,
    exit: PipeWriter,
}

impl Gate {
    fn new() -> Self {
        let (entry, exit) = std::io::pipe().unwrap();
        Self { entry, exit }
    }

    /// Where a worker finds the gate.
    fn address(&self) -> (u32, i32) {
        (process::id(), self.entry.as_raw_fd())
    }

    /// For a task.
    fn pass((process, fd): (u32, i32)) {
        let entry = fs::File::open(format!("/proc/{process}/fd/{fd}"));
        assert_eq!(entry.unwrap().read(&mut [0]).unwrap(), 1);
    }

    /// Lets one task pass.
    fn open(&self) {
        (&self.exit).write_all(&[0]).unwrap();
    }
}

fn square(x: u64) -> u64 {
    x * x
}

fn values_come_back_in_order_whatever_their_types() {
    #[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
    struct Tree {
        name: String,
        children: Vec<Tree>,
        maybe: Option<HashMap<String, f64>>,
    }
    fn grow(tree: Tree, times: usize) -> Tree {
        Tree {
            name: tree.name.repeat(times),
            children: vec![tree; times],
            maybe: None,
        }
    }
    let pool = pool(3);
    assert_eq!(pool.apply(square, (7,)).unwrap(), 49);
    assert_eq!(
        pool.apply(|| "nothing in".to_string(), ()).unwrap(),
        "nothing in"
    );
    pool.apply(|(), _: [u8; 0]| (), ((), [])).unwrap();
    let tree = Tree {
        name: "oak".into(),
        children: vec![],
        maybe: Some([("x".to_string(), 0.5)].into()),
    };
    let grown = pool.apply(grow, (tree.clone(), 2)).unwrap();
    assert_eq!(grown, grow(tree, 2));

    let squares: Vec<u64> = (0..10_000).map(square).collect();
    assert_eq!(pool.map(square, 0..10_000).unwrap(), squares);
    assert_eq!(
        pool.chunksize(1).map(square, 0..100).unwrap(),
        squares[..100]
    );
    assert_eq!(pool.chunksize(999).map(square, 0..10_000).unwrap(), squares);
    let inputs = (0..10_000).filter(|n| n % 2 == 0); // Its length is not known.
    assert_eq!(
        pool.map(|n: u64| n / 2, inputs).unwrap(),
        (0..5_000).collect::<Vec<u64>>()
    );
    assert!(pool.map(square, []).unwrap().is_empty());
    assert_eq!(pool.map(|()| (), vec![(); 1000]).unwrap().len(), 1000);
    let sums =
        pool.starmap(|a: u64, b: u64, c: u64| a + b * c, [(1, 2, 3), (4, 5, 6)]);
    assert_eq!(sums.unwrap(), [7, 34]);
    let concat = pool.starmap(|a: String, n: usize| a.repeat(n), [("ab".into(), 2)]);
    assert_eq!(concat.unwrap(), ["abab"]);
    let later = pool.map_async(square, 0..10_000);
    let first = pool.apply_async(square, (3,));
    assert_eq!(first.get().unwrap(), 9);
    assert_eq!(later.get().unwrap(), squares);
    let imap: Result<Vec<_>, _> = pool.imap(square, 0..10_000).collect();
    assert_eq!(imap.unwrap(), squares);
    let unordered = pool.chunksize(7).imap_unordered(square, 0..10_000);
    let mut unordered = unordered.collect::<Result<Vec<_>, _>>().unwrap();
    unordered.sort_unstable();
    assert_eq!(unordered, squares);
    finish(&pool);
}

fn a_panic_is_a_value_with_message_and_place() {
    fn divide(a: i32, b: i32) -> i32 {
        assert!(b != 0, "{a} by zero");
        a / b
    }
    let pool = pool(2);
    let Err(TaskError::Panicked { message, place }) = pool.apply(divide, (7, 0))
    else {
        panic!("it has no value");
    };
    assert_eq!(message, "7 by zero");
    assert!(place.starts_with(concat!(file!(), ":")), "{place}");
    // The worker was not replaced.
    assert_eq!(pool.apply(divide, (6, 3)), Ok(2));
    let error = pool.starmap(divide, [(4, 2), (8, 0), (9, 0)]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the task panicked: 8 by zero (")
    );
    let odd = pool.apply(|| -> () { std::panic::panic_any(7) }, ());
    assert!(matches!(odd, Err(TaskError::Panicked { .. })));
    let caught =
        pool.apply(|| std::panic::catch_unwind(|| panic!("quiet")).is_err(), ());
    assert_eq!(caught, Ok(true));
    finish(&pool);
}

fn a_worker_that_ends_costs_its_task_alone() {
    // An ignored signal stays ignored in children, and nohup ignores this one.
    ignore(Signal::SIGHUP, false);
    let pool = pool(2);
    let gate = Gate::new();
    let slow = pool.apply_async(Gate::pass, (gate.address(),));
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP] {
        let number = signal as i32;
        let lost = pool.apply(
            |n: i32| raise(Signal::try_from(n).unwrap()).unwrap(),
            (number,),
        );
        assert_eq!(lost, Err(TaskError::Killed { signal: number }));
        let named = lost.unwrap_err().to_string();
        assert_eq!(named, format!("the worker was ended by {signal}"));
    }
    for code in [0, 3] {
        let lost: Result<(), _> =
            pool.apply(|code: i32| process::exit(code), (code,));
        assert_eq!(lost, Err(TaskError::Exited { code }));
    }
    let lost = pool.apply(|| -> () { process::abort() }, ());
    assert_eq!(lost, Err(TaskError::Killed { signal: 6 }));
    gate.open();
    assert_eq!(slow.get(), Ok(()), "its worker was not touched");

    // Killing an idle worker costs no task.
    for _ in 0..20 {
        let pid = pool.apply(worker_pid, ()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        assert_eq!(pool.apply(square, (5,)), Ok(25));
    }
    finish(&pool);
}

/// Cannot be encoded, or cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stubborn {
    In,
    Out,
    Panics,
}

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::In => Err(serde::ser::Error::custom("I stay here")),
            Self::Out => 7_u8.serialize(s),
            Self::Panics => panic!("no bytes"),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("I do not arrive"))
    }
}

#[cfg(feature = "broker")]
fn a_local_pool_refuses_a_key_and_goes_on() {
    let pool = pool(1);
    let refused = pool.apply_async_with_key("order-17", square, (2,));
    assert_eq!(refused.id(), None);
    let why = "a task of a local pool has no key: use a pool over a broker";
    assert_eq!(refused.get(), Err(TaskError::Argument(why.into())));
    assert_eq!(pool.apply(square, (3,)), Ok(9));
}

fn each_way_a_value_cannot_be_sent_has_its_own_error() {
    let pool = pool(1);
    let accept = |_: Stubborn| ();
    let argument = |ended: Result<(), TaskError>| match ended {
        Err(TaskError::Argument(why)) => why,
        other => panic!("{other:?}"),
    };
    let unsent = argument(pool.apply(accept, (Stubborn::In,)));
    assert_eq!(unsent, "the value cannot be encoded: I stay here");
    let refused = argument(pool.apply(accept, (Stubborn::Out,)));
    assert!(
        refused
            .ends_with("cannot be decoded as the type asked for: I do not arrive")
    );
    let handle = pool.apply_async(accept, (Stubborn::In,));
    assert_eq!((handle.ready(), handle.successful()), (true, Some(false)));
    argument(handle.get());
    let list = [Stubborn::Out, Stubborn::In];
    assert!(matches!(
        pool.map(accept, list),
        Err(TaskError::Argument(_))
    ));

    let give =
        |n: u8| [Stubborn::In, Stubborn::Out, Stubborn::Panics][usize::from(n)];
    for (n, cause) in [(0, "I stay here"), (1, "I do not arrive")] {
        match pool.apply(give, (n,)) {
            Err(TaskError::Result(why)) => assert!(why.ends_with(cause), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        pool.apply(give, (2,)),
        Err(TaskError::Panicked { .. })
    ));
    let imap: Vec<_> = pool.imap(|x: Stubborn| x == Stubborn::In, list).collect();
    assert_eq!(imap.len(), 2);
    assert!(
        imap.iter()
            .all(|end| matches!(end, Err(TaskError::Argument(_))))
    );
    assert_eq!(pool.apply(square, (5,)), Ok(25), "all by the same worker");
    finish(&pool);
}

fn a_failure_in_a_chunk_costs_no_other_task_of_it() {
    fn picky(n: u32) -> u32 {
        assert!(n % 10 != 3, "not {n}");
        if n == 47 {
            raise(Signal::SIGKILL).unwrap();
        }
        n
    }
    let pool = pool(2);
    let ends: Vec<_> = pool.chunksize(10).imap(picky, 0..60).collect();
    assert_eq!(ends.len(), 60);
    for (n, end) in (0..).zip(ends) {
        match (n, end) {
            // It takes the rest of its chunk with it.
            (40..50, Err(TaskError::Killed { signal: 9 })) => {}
            (n, Err(TaskError::Panicked { message, .. })) if n % 10 == 3 => {
                assert!(message.contains(&format!("not {n}")));
            }
            (n, Ok(value)) => assert_eq!(value, n),
            (n, end) => panic!("{n}: {end:?}"),
        }
    }
    let mut ends: Vec<_> = pool.chunksize(4).imap_unordered(picky, 0..30).collect();
    ends.retain(Result::is_ok);
    assert_eq!(ends.len(), 27);
    let map = pool.chunksize(10).map_async(picky, 0..30);
    map.wait();
    assert_eq!(map.successful(), Some(false));
    assert!(map.get().unwrap_err().to_string().contains("not 3"));
    finish(&pool);
}

fn a_handle_knows_whether_its_task_has_ended() {
    let pool = pool(1);
    let gate = Gate::new();
    let handle = pool.apply_async(Gate::pass, (gate.address(),));
    assert_eq!((handle.ready(), handle.successful()), (false, None));
    assert!(!handle.wait_timeout(ms(10)));
    let handle = handle.get_timeout(ms(10)).expect_err("too early");
    gate.open();
    handle.wait();
    assert_eq!((handle.ready(), handle.successful()), (true, Some(true)));
    assert_eq!(handle.get_timeout(Duration::ZERO).unwrap(), Ok(()));

    // Answers come in the order of the tasks, and are taken in the opposite order.
    let mut handles: Vec<_> =
        (0..1000).map(|n| pool.apply_async(square, (n,))).collect();
    while let Some(handle) = handles.pop() {
        assert_eq!(handle.get(), Ok(square(handles.len() as u64)));
    }
    // Results that were given up leave nothing behind.
    for n in 0..1000 {
        drop(pool.apply_async(square, (n,)));
    }
    assert_eq!(pool.apply(square, (5,)), Ok(25));
    finish(&pool);
}

fn imap_is_lazy_on_both_sides_and_takes_constant_memory() {
    let pool = pool(2);
    let taken = AtomicU64::new(0);
    let endless = || {
        (0..).inspect(|_| {
            taken.fetch_add(1, Ordering::Relaxed);
        })
    };
    let resident = || {
        let pages = fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    };
    for ordered in [true, false] {
        taken.store(0, Ordering::Relaxed);
        let square = |n: u64| (n, "x".repeat(1000));
        let mut results = if ordered {
            pool.imap(square, endless())
        } else {
            pool.imap_unordered(square, endless())
        };
        (0..1000).for_each(|_| drop(results.next().unwrap().unwrap()));
        let before = resident();
        for n in 1000..20_000 {
            let (m, _) = results.next().unwrap().unwrap();
            assert!(!ordered || m == n);
            assert!(taken.load(Ordering::Relaxed) < n + 500);
        }
        let grown = resident().saturating_sub(before);
        assert!(grown < 10_000_000, "{grown} bytes more");
    }
    let mut results = pool.imap(square, 0..);
    assert_eq!(results.next(), Some(Ok(0)));
    pool.close();
    let rest: Vec<_> = results.collect();
    assert_eq!(rest.last(), Some(&Err(TaskError::Closed)));
    let (_, done) = rest.split_last().unwrap();
    assert!((1..).zip(done).all(|(n, end)| *end == Ok(square(n))));
    pool.join().unwrap();
}

fn imap_knows_how_many_results_are_to_come() {
    let pool = pool(2);
    for chunksize in [1, 7] {
        let inputs = (0..100_u32).map(u64::from);
        let mut ordered = pool.chunksize(chunksize).imap(square, inputs);
        let mut unordered = pool
            .chunksize(chunksize)
            .imap_unordered(square, vec![5; 100]);
        for left in (0..100).rev() {
            assert_eq!((ordered.next().is_some(), ordered.len()), (true, left));
            assert_eq!(unordered.next(), Some(Ok(25)));
            assert_eq!(unordered.len(), left);
        }
        assert_eq!((ordered.next(), unordered.next()), (None, None));
    }
    let even = pool.imap(square, (0..100).filter(|n| n % 2 == 0));
    assert_eq!(even.size_hint(), (50, Some(50)), "all are on their way");
    assert_eq!(even.count(), 50);
    assert_eq!(pool.imap(square, 0..).size_hint(), (usize::MAX, None));

    // The promise holds even if the pool is closed before all inputs were sent.
    let mut results = pool.imap(square, (0..1_000_u32).map(u64::from));
    assert_eq!(results.next(), Some(Ok(0)));
    pool.close();
    let left = results.len();
    assert_eq!(left, 999);
    let results: Vec<_> = results.collect();
    assert_eq!(results.len(), left);
    let first_error = results.iter().position(Result::is_err).unwrap();
    let refused = &results[first_error..];
    assert!(refused.iter().all(|end| *end == Err(TaskError::Closed)));
    pool.join().unwrap();
}

fn callbacks_come_one_at_a_time_and_before_join_returns(method: &str) {
    let run = start("callbacks", method).run();
    assert!(run.status.success(), "{run:#?}");
    // The callback that is meant to panic, and no other.
    let errors = run.errors.concat();
    assert_eq!(errors.matches("panicked at").count(), 1, "{run:#?}");
    assert!(errors.contains("a callback's"), "{run:#?}");
}

fn callbacks() {
    let pool = Arc::new(pool(2));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = || {
        let seen = Arc::clone(&seen);
        move |n: u64| {
            static BUSY: AtomicBool = AtomicBool::new(false);
            assert!(!BUSY.swap(true, Ordering::Relaxed), "one at a time");
            sleep(ms(1));
            BUSY.store(false, Ordering::Relaxed);
            seen.lock().unwrap().push(n);
        }
    };
    for n in 0..50 {
        pool.apply_async(square, (n,)).callback(see());
    }
    pool.map_async(square, [1, 2, 3]).callback({
        let see = see();
        move |all| see(all.iter().sum::<u64>() + 10_000)
    });
    pool.map_async(square, []).callback({
        let see = see();
        move |none| see(none.len() as u64)
    });
    // No thread waits for the results, and the callbacks come all the same.
    soon(|| seen.lock().unwrap().len() == 52);
    seen.lock().unwrap().clear();

    let failed = see();
    pool.apply_async(|| panic!("no value"), ())
        .callback(|()| unreachable!())
        .error_callback(move |error| {
            failed(error.to_string().contains("no value").into());
        });
    let refused = see();
    pool.apply_async(|_: Stubborn| (), (Stubborn::In,))
        .error_callback(move |error| {
            assert!(matches!(error, TaskError::Argument(_)));
            refused(2);
        });
    let killed = see();
    pool.apply_async(|| raise(Signal::SIGKILL).is_ok(), ())
        .error_callback(move |error| {
            assert_eq!(error, TaskError::Killed { signal: 9 });
            killed(3);
        });
    soon(|| seen.lock().unwrap().len() == 3);
    seen.lock().unwrap().clear();

    pool.apply_async(square, (2,))
        .callback(|_| panic!("a callback's"));
    let inner = Arc::clone(&pool);
    let after = see();
    let both = pool.apply_async(square, (4,)).callback(move |_| {
        assert!(matches!(inner.join(), Err(PoolError::JoinInCallback)));
        after(inner.apply(square, (6,)).unwrap());
    });
    assert_eq!(both.get(), Ok(16));
    soon(|| seen.lock().unwrap().len() == 1);
    for n in 0..50 {
        let see = see();
        pool.apply_async(square, (n,))
            .callback(move |n| see(n + 100));
    }
    finish(&pool);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen.len(), 51);
    assert_eq!(seen[0], 36);
}

/// The smallest executor, as of the documentation of [`std::task::Wake`].
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        let ended = future.as_mut().poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(value) = ended {
            return value;
        }
        thread::park();
    }
}

fn a_result_is_a_future_for_any_executor() {
    let pool = pool(2);
    assert_eq!(block_on(pool.apply_async(square, (3,))), Ok(9));
    let squares: Vec<u64> = (0..1000).map(square).collect();
    let map = pool.map_async(square, 0..1000);
    assert_eq!(block_on(map).unwrap(), squares);
    assert!(block_on(pool.map_async(square, [])).unwrap().is_empty());
    let killed = pool.apply_async(|| raise(Signal::SIGKILL).is_ok(), ());
    assert_eq!(block_on(killed), Err(TaskError::Killed { signal: 9 }));
    let refused = pool.apply_async(|_: Stubborn| (), (Stubborn::In,));
    assert!(matches!(block_on(refused), Err(TaskError::Argument(_))));

    let one_thread = tokio::runtime::Builder::new_current_thread();
    let several_threads = tokio::runtime::Builder::new_multi_thread();
    for mut builder in [one_thread, several_threads] {
        let runtime = builder.enable_time().build().unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..200)
                .map(|n| tokio::spawn(pool.apply_async(square, (n,))))
                .collect();
            for (n, task) in (0..).zip(tasks) {
                assert_eq!(task.await.unwrap(), Ok(square(n)));
            }
            // While a task runs, the executor does other things.
            let gate = Gate::new();
            let mut waiting = pool.apply_async(Gate::pass, (gate.address(),));
            let early = tokio::time::timeout(ms(20), &mut waiting).await;
            assert!(early.is_err(), "the gate is closed");
            let waiting = tokio::spawn(waiting);
            gate.open();
            assert_eq!(waiting.await.unwrap(), Ok(()));
            // A future that is given up leaves nothing behind.
            let given_up = pool.apply_async(nap, (50,));
            let timeout = tokio::time::timeout(ms(1), given_up).await;
            assert!(timeout.is_err());
            assert_eq!(pool.apply_async(square, (4,)).await, Ok(16));
        });
    }
    // Those that wait are woken by a cancellation, and by the end of the pool.
    let long = pool.apply_async(nap, (60_000,));
    let other = pool.apply_async(nap, (60_000,));
    thread::scope(|s| {
        let other = s.spawn(|| block_on(other));
        sleep(ms(20));
        pool.terminate();
        assert_eq!(block_on(long), Err(TaskError::Terminated));
        assert_eq!(other.join().unwrap(), Err(TaskError::Terminated));
    });
    finish(&pool);
}

/// A callback that takes long must not keep futures from being woken.
fn a_callback_does_not_hold_up_a_future() {
    let pool = pool(2);
    let gate = Gate::new();
    let address = gate.address();
    let first = pool
        .apply_async(square, (2,))
        .callback(move |_| Gate::pass(address));
    first.wait();
    let task = pool.apply_async(nap, (50,));
    assert_eq!(block_on(task), Ok(50));
    gate.open();
    finish(&pool);
}

fn a_task_beyond_its_deadline_ends_alone() {
    let pool = pool(2);
    let slow = pool.apply_async(nap, (300,));
    let start = Instant::now();
    assert_eq!(
        pool.deadline(ms(50)).apply(nap, (60_000,)),
        Err(TaskError::Deadline)
    );
    assert!(start.elapsed() >= ms(50) && start.elapsed() < Duration::from_secs(20));
    assert_eq!(
        pool.deadline(Duration::from_mins(1)).apply(nap, (1,)),
        Ok(1)
    );
    assert_eq!(
        pool.deadline(Duration::ZERO).apply(nap, (60_000,)),
        Err(TaskError::Deadline)
    );
    assert_eq!(slow.get(), Ok(300));
    let ages = Duration::from_nanos(u64::MAX) + Duration::from_nanos(2);
    assert_eq!(pool.deadline(ages).apply(nap, (50,)), Ok(50));
    // The time that a task waits for a worker does not count.
    let queue: Vec<_> = (0..6)
        .map(|_| pool.deadline(ms(5_000)).apply_async(nap, (20,)))
        .collect();
    assert!(queue.into_iter().all(|handle| handle.get() == Ok(20)));
    // A task that ends at its very deadline has either end, and costs no other task.
    let edge: Vec<_> = (0..200)
        .map(|n| {
            (
                pool.deadline(ms(1)).apply_async(nap, (1,)),
                pool.apply_async(square, (n,)),
            )
        })
        .collect();
    for (n, (edge, other)) in edge.into_iter().enumerate() {
        assert!(matches!(edge.get(), Ok(1) | Err(TaskError::Deadline)));
        assert_eq!(other.get(), Ok(square(n as u64)));
    }
    finish(&pool);
}

fn a_cancelled_task_ends_alone() {
    let pool = pool(1);
    let running = pool.apply_async(nap, (60_000,));
    let queued = pool.apply_async(|| raise(Signal::SIGKILL).is_ok(), ());
    let behind = pool.apply_async(square, (9,));
    sleep(ms(50));
    assert!(queued.cancel());
    assert!(!queued.cancel(), "once is enough");
    assert_eq!(queued.get(), Err(TaskError::Cancelled), "at once");
    assert!(running.cancel());
    assert_eq!(running.get(), Err(TaskError::Cancelled));
    assert_eq!(behind.get(), Ok(81));
    let done = pool.apply_async(square, (3,));
    done.wait();
    assert!(!done.cancel());
    assert_eq!(done.get(), Ok(9));
    let map = pool.chunksize(1).map_async(nap, vec![10_000; 50]);
    assert!(map.cancel());
    assert_eq!(map.get(), Err(TaskError::Cancelled));
    // At any moment, a cancellation costs no other task.
    for n in 0..200 {
        let victim = pool.apply_async(square, (n,));
        let other = pool.apply_async(square, (n + 1,));
        if n % 3 == 0 {
            sleep(Duration::from_micros(n));
        }
        match (victim.cancel(), victim.get()) {
            (true, Err(TaskError::Cancelled)) => {}
            (false, Ok(value)) => assert_eq!(value, square(n)),
            (cancelled, end) => panic!("{cancelled}: {end:?}"),
        }
        assert_eq!(other.get(), Ok(square(n + 1)));
    }
    finish(&pool);
    // Even when the pool has just been started.
    for _ in 0..50 {
        let pool = self::pool(1);
        assert!(pool.apply_async(nap, (60_000,)).cancel());
        assert_eq!(pool.apply(square, (3,)), Ok(9));
    }
}

/// A worker that sleeps, and that nobody wakes, finds a task by itself after a tenth of a
/// second. So a lost wake-up can only be seen by the time that it costs.
fn a_task_beside_another_does_not_wait_for_a_sleeping_worker() {
    let pool = pool(2);
    let mut rounds: Vec<_> = (0..40)
        .map(|_| {
            // One of the workers has just answered, and looks for a task. It takes one
            // and keeps it until the other worker has done the other.
            pool.apply(square, (2,)).unwrap();
            let start = Instant::now();
            let gate = Gate::new();
            let first = pool.apply_async(Gate::pass, (gate.address(),));
            let second = pool.apply_async(square, (3,));
            assert_eq!(second.get(), Ok(9));
            gate.open();
            assert_eq!(first.get(), Ok(()));
            start.elapsed()
        })
        .collect();
    rounds.sort_unstable();
    assert!(rounds[10] < ms(50), "{rounds:?}");
    finish(&pool);
}

/// Each within a second, while a task runs that sends nothing for a minute.
fn a_change_by_another_thread_ends_a_wait() {
    let pool = pool(2);
    let second = ms(1_000);
    // The callback thread is receiving: it waits for the end of the long task.
    let long = pool.apply_async(nap, (60_000,)).callback(|_| ());
    let ended = pool.apply_async(square, (3,));
    ended.wait();
    sleep(ms(50));
    let start = Instant::now();
    let (call, called) = std::sync::mpsc::channel();
    ended.callback(move |nine| call.send(nine).unwrap());
    assert_eq!(called.recv(), Ok(9));
    assert!(start.elapsed() < second, "{:?}", start.elapsed());
    assert!(long.cancel());
    finish(&pool);

    let pool = self::pool(1);
    let long = pool.apply_async(nap, (60_000,));
    let queued = pool.apply_async(square, (3,));
    let cancelled = thread::scope(|s| {
        let waiter = s.spawn(|| {
            queued.wait();
            Instant::now()
        });
        sleep(ms(50));
        let start = Instant::now();
        assert!(queued.cancel());
        waiter.join().unwrap().saturating_duration_since(start)
    });
    assert!(cancelled < second, "{cancelled:?}");
    assert!(long.cancel());
    finish(&pool);
}

/// Ignores a signal, or has it do what it does by default.
#[expect(
    unsafe_code,
    reason = "nix leaves it to the caller to set a signal's action"
)]
fn ignore(which: Signal, ignored: bool) {
    let action = if ignored {
        SigHandler::SigIgn
    } else {
        SigHandler::SigDfl
    };
    // SAFETY: no handler is installed, and none was before.
    unsafe { signal(which, action) }.unwrap();
}

fn a_lost_task_is_reported_even_if_sigchld_is_ignored() {
    ignore(Signal::SIGCHLD, true);
    let pool = pool(2);
    let start = Instant::now();
    for _ in 0..5 {
        let lost = pool.apply(|| raise(Signal::SIGKILL).unwrap(), ());
        assert_eq!(lost, Err(TaskError::Killed { signal: 9 }));
    }
    assert_eq!(pool.apply(square, (3,)), Ok(9));
    assert!(start.elapsed() < ms(5_000), "{:?}", start.elapsed());
    finish(&pool);
}

#[expect(unsafe_code, reason = "the library is told nothing of this fork")]
fn a_task_that_forks_does_not_make_a_second_worker() {
    let pool = pool(1);
    // SAFETY: a worker has one thread.
    let twice = || unsafe { fork() }.unwrap().is_child();
    for _ in 0..5 {
        assert_eq!(pool.apply(twice, ()), Ok(false), "the worker's answer");
    }
    assert_eq!(pool.map(square, 0..4).unwrap(), [0, 1, 4, 9]);
    finish(&pool);
}

fn a_process_that_a_task_forks_prints_its_panic(method: &str) {
    let run = start("panic_in_a_forked_process", method).run();
    assert!(run.status.success(), "{run:#?}");
    assert_eq!(run.errors.len(), 1, "{run:#?}");
    assert!(run.errors[0].contains(": printed (examples-"), "{run:#?}");
}

fn panic_in_a_forked_process() {
    let pool = pool(1);
    let code = pool.apply(
        || {
            let mut p = Process::new(|| panic!("printed"));
            p.start().unwrap();
            p.join().unwrap();
            p.exitcode()
        },
        (),
    );
    assert_eq!(code, Ok(Some(1)));
    finish(&pool);
}

/// Limits the memory of this process to little more than it has.
fn be_frugal() {
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').next().unwrap().parse().unwrap();
    let most = pages * 4096 + (32 << 20);
    setrlimit(Resource::RLIMIT_AS, most, most).unwrap();
}

fn without_memory_for_a_message_the_pool_says_so() {
    const MUCH: usize = 128 << 20;
    let message = |ended: Result<usize, TaskError>| match ended {
        Err(TaskError::System(message)) => message,
        other => panic!("{other:?}"),
    };
    let first = builder()
        .processes(2)
        .initializer(be_frugal, ())
        .start()
        .unwrap();
    let ended = first.apply(|blob: Blob| blob.0.len(), (Blob(vec![7; MUCH]),));
    assert_eq!(message(ended), "there is no memory for the next task");
    finish(&first);

    let second = pool(2);
    let large = second.apply_async(|| Blob(vec![7; MUCH]), ());
    be_frugal();
    let ended = large.get().map(|blob| blob.0.len());
    assert_eq!(message(ended), "there is no memory for a result");
    finish(&second);
}

fn a_worker_without_its_death_signal_ends_with_its_parent() {
    let pool = pool(2);
    let supervisor = pool.apply(
        || {
            // A change of the user does the same.
            prctl::set_pdeathsig(None).unwrap();
            getppid().as_raw()
        },
        (),
    );
    // The worker has this process's output open, and the test waits until it is closed.
    kill(Pid::from_raw(supervisor.unwrap()), Signal::SIGKILL).unwrap();
}

fn an_initializer_that_fails_ends_the_pool_with_its_reason() {
    thread_local! {
        static READY: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }
    let set = |n: u64, m: u64| READY.set(n + m);
    let pool = builder()
        .processes(2)
        .initializer(set, (3, 4))
        .start()
        .unwrap();
    assert_eq!(
        pool.map(|n: u64| n * READY.get(), 0..3).unwrap(),
        [0, 7, 14]
    );
    let lost = pool.apply(|| raise(Signal::SIGKILL).unwrap(), ());
    assert!(lost.is_err());
    assert_eq!(
        pool.apply(|| READY.get(), ()),
        Ok(7),
        "the new worker's, too"
    );
    finish(&pool);

    let fail = |initializer: fn(PoolBuilder) -> PoolBuilder| {
        let pool = initializer(builder().processes(2)).start().unwrap();
        let Err(TaskError::Initializer(why)) = pool.apply(square, (1,)) else {
            panic!("no task can run");
        };
        let later = pool.apply_async(square, (1,));
        assert!(matches!(later.get(), Err(TaskError::Initializer(_))));
        finish(&pool);
        why
    };
    let panicked = fail(|b| b.initializer(|| panic!("not today"), ()));
    assert!(
        panicked.contains("not today") && panicked.contains("pools.rs:"),
        "{panicked}"
    );
    let exited = fail(|b| b.initializer(|| process::exit(3), ()));
    assert_eq!(exited, "the worker exited with code 3");
    let killed = fail(|b| b.initializer(|| raise(Signal::SIGKILL).unwrap(), ()));
    assert_eq!(killed, "the worker was ended by SIGKILL");
    let refused = builder()
        .initializer(|_: Stubborn| (), (Stubborn::In,))
        .start();
    assert!(matches!(refused, Err(PoolError::Process(_))));
    fail(|b| b.initializer(|_: Stubborn| (), (Stubborn::Out,)));
    assert!(matches!(
        builder().processes(0).start(),
        Err(PoolError::TooFew)
    ));
    assert!(matches!(
        builder().maxtasksperchild(0).start(),
        Err(PoolError::TooFew)
    ));
    assert!(matches!(
        builder().processes(usize::MAX).start(),
        Err(PoolError::System(_))
    ));
}

/// What Python's users hand to `initializer` as `initargs`.
#[derive(Clone, Serialize, Deserialize)]
struct Handles {
    lock: Lock,
    recursive: RLock,
    permits: Semaphore,
    go: Event,
    changed: Condition,
    sum: Value<u64>,
    raw: RawArray<u64>,
    counts: Array<u64>,
    queue: Queue<u64>,
    simple: SimpleQueue<u64>,
    joinable: JoinableQueue<u64>,
}

static HANDLES: OnceLock<Handles> = OnceLock::new();

fn use_handles(n: u64) {
    let handles = HANDLES.get().unwrap();
    handles.go.wait();
    let _permit = handles.permits.permit();
    let _recursive = handles.recursive.lock();
    handles.counts.lock()[n as usize % 4] += 1;
    {
        // Without the lock, some of the additions would be lost.
        let _lock = handles.lock.lock();
        handles.raw[0].set(handles.raw[0].get() + n);
    }
    handles.queue.put(n).unwrap();
    handles.simple.put(n).unwrap();
    handles.joinable.put(n).unwrap();
    let _locked = handles.changed.lock();
    handles.sum.set(handles.sum.get() + n);
    handles.changed.notify_all().unwrap();
}

fn an_initializer_hands_locks_queues_and_shared_values_to_the_workers() {
    const TASKS: u64 = 40;
    const SUM: u64 = TASKS * (TASKS - 1) / 2;
    let lock = Lock::new().unwrap();
    let handles = Handles {
        changed: Condition::new().unwrap(),
        recursive: RLock::new().unwrap(),
        permits: Semaphore::new(2).unwrap(),
        go: Event::new().unwrap(),
        sum: Value::new(0).unwrap(),
        raw: RawArray::zeroed(1).unwrap(),
        counts: Array::zeroed(4).unwrap(),
        queue: Queue::new(0).unwrap(),
        simple: SimpleQueue::new().unwrap(),
        joinable: JoinableQueue::new(0).unwrap(),
        lock,
    };
    let keep = |handles: Handles| assert!(HANDLES.set(handles).is_ok());
    let pool = builder()
        .processes(2)
        // Every task but the first of a worker is run by one that was started later.
        .maxtasksperchild(1)
        .initializer(keep, (handles.clone(),))
        .start()
        .unwrap();
    let done = pool.chunksize(1).map_async(use_handles, 0..TASKS);
    assert!(!done.wait_timeout(ms(20)), "they wait for the event");
    handles.go.set();
    {
        let _locked = handles.changed.lock();
        handles
            .changed
            .wait_for(|| handles.sum.get() == SUM)
            .unwrap();
    }
    done.get().unwrap();
    assert_eq!(handles.raw[0].get(), SUM);
    assert_eq!(handles.counts.lock().to_vec(), [TASKS / 4; 4]);
    let mut sums = [0; 3];
    for _ in 0..TASKS {
        sums[0] += handles.queue.get().unwrap();
        sums[1] += handles.simple.get().unwrap();
        sums[2] += handles.joinable.get().unwrap();
        handles.joinable.task_done().unwrap();
    }
    assert_eq!(sums, [SUM; 3]);
    handles.joinable.join().unwrap();
    finish(&pool);
}

/// A worker that dies in its initializer time and again ends the pool, but not one that
/// dies after it.
fn idle_workers_may_die_at_any_rate_after_their_initializer() {
    static STARTED: OnceLock<Value<u64>> = OnceLock::new();
    let count = |started: Value<u64>| {
        *started.lock() += 1;
        assert!(STARTED.set(started).is_ok());
    };
    let started = Value::new(0).unwrap();
    let pool = builder()
        .processes(1)
        .initializer(count, (started.clone(),))
        .start()
        .unwrap();
    let supervisor = pool.apply(|| getppid().as_raw(), ()).unwrap();
    let children = format!("/proc/{supervisor}/task/{supervisor}/children");
    for deaths in 1..=15 {
        let worker = fs::read_to_string(&children).unwrap();
        let worker = Pid::from_raw(worker.trim().parse().unwrap());
        kill(worker, Signal::SIGKILL).unwrap();
        soon(|| started.get() > deaths);
        // It has counted, and has still to return.
        sleep(ms(10));
    }
    assert_eq!(pool.apply(square, (5,)), Ok(25));
    finish(&pool);
}

fn a_worker_ends_after_maxtasksperchild() {
    let pool = builder().processes(2).maxtasksperchild(1).start().unwrap();
    let count = match env::var("METHOD").unwrap().as_str() {
        "fork" => 10_000,
        _ => 2_000,
    };
    let mut pids = HashMap::new();
    let ends = pool.imap_unordered(|n: u64| (n, worker_pid()), 0..count);
    let mut sum = 0;
    for end in ends {
        let (n, pid) = end.unwrap();
        sum += n;
        *pids.entry(pid).or_insert(0) += 1;
    }
    assert_eq!(sum, (0..count).sum::<u64>());
    // The system may give an id again, but not soon.
    assert!(pids.len() > 1_000, "{}", pids.len());
    finish(&pool);

    let pool = builder().processes(1).maxtasksperchild(3).start().unwrap();
    let pids = pool.chunksize(2).map(|_: u64| worker_pid(), 0..12).unwrap();
    let name = pool
        .apply(|| current_process().name().to_string(), ())
        .unwrap();
    assert_eq!(pids[0], pids[5], "three chunks of two");
    assert!(pids[5] != pids[6] && pids[6] == pids[11]);
    assert!(name.ends_with("PoolWorker-3"), "{name}");
    finish(&pool);
}

fn a_closed_pool_finishes_the_tasks_it_has() {
    let first = pool(2);
    assert!(matches!(first.join(), Err(PoolError::StillRunning)));
    let handles: Vec<_> = (0..20).map(|_| first.apply_async(nap, (50,))).collect();
    first.close();
    first.close();
    assert_eq!(first.apply(square, (1,)), Err(TaskError::Closed));
    assert!(!first.join_timeout(ms(1)).unwrap());
    first.join().unwrap();
    first.join().unwrap();
    assert!(handles.iter().all(AsyncResult::ready));
    assert!(handles.into_iter().all(|handle| handle.get() == Ok(50)));

    let second = pool(2);
    let endless = second.apply_async(nap, (60_000,));
    second.terminate();
    assert_eq!(endless.get(), Err(TaskError::Terminated));
    assert!(second.join_timeout(Duration::from_secs(20)).unwrap());
    assert_eq!(second.apply(square, (1,)), Err(TaskError::Closed));
    second.terminate();

    let third = pool(2);
    let endless = third.apply_async(nap, (60_000,));
    drop(third);
    assert_eq!(endless.get(), Err(TaskError::Terminated));
    // A worker killed while the pool is closing is replaced as before.
    let fourth = pool(1);
    let handles: Vec<_> = (0..5)
        .map(|n| {
            fourth
                .apply_async(|n: i32| n == 2 && raise(Signal::SIGKILL).is_ok(), (n,))
        })
        .collect();
    finish(&fourth);
    let lost = handles
        .into_iter()
        .filter(|handle| handle.successful() == Some(false));
    assert_eq!(lost.count(), 1);
}

fn a_worker_may_have_a_pool() {
    fn inner(n: u64) -> Vec<u64> {
        let pool = pool(2);
        let squares = pool.map(square, 0..n).unwrap();
        finish(&pool);
        squares
    }
    let pool = pool(2);
    let all = pool.map(inner, 0..5).unwrap();
    assert_eq!(all[4], [0, 1, 4, 9]);
    let process = pool.apply(
        || {
            let mut p = Process::new(|| process::exit(5));
            p.start().unwrap();
            p.join().unwrap();
            p.exitcode()
        },
        (),
    );
    assert_eq!(process, Ok(Some(5)));
    // The worker is killed, and what it has started goes too.
    let busy = pool.apply_async(
        || {
            let inner = self::pool(1);
            inner.apply(nap, (60_000,))
        },
        (),
    );
    sleep(ms(50));
    busy.cancel();
    finish(&pool);
}

fn a_fork_is_refused_beside_threads_a_spawn_is_not() {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let beside = thread::spawn(move || ended.recv());
    match builder().processes(2).start() {
        Ok(pool) => {
            assert_eq!(env::var("METHOD").unwrap(), "spawn");
            assert_eq!(pool.map(square, 0..4).unwrap(), [0, 1, 4, 9]);
            finish(&pool);
        }
        Err(error) => {
            assert_eq!(env::var("METHOD").unwrap(), "fork");
            assert!(
                error.to_string().ends_with("or start this one by spawn."),
                "{error}"
            );
        }
    }
    drop(end);
    beside.join().unwrap().unwrap_err();
}

fn several_threads_share_a_pool() {
    let pool = pool(2);
    thread::scope(|s| {
        for thread in 0..4 {
            let pool = &pool;
            s.spawn(move || {
                for n in 0..500 {
                    let n = n + 1000 * thread;
                    assert_eq!(pool.apply(square, (n,)), Ok(square(n)));
                }
            });
            s.spawn(move || {
                let squares: Result<Vec<_>, _> = pool.imap(square, 0..500).collect();
                assert_eq!(squares.unwrap().len(), 500);
            });
        }
        // A thread that waits for long does not keep the others from their results.
        let slow = pool.apply_async(nap, (200,));
        s.spawn(move || assert_eq!(slow.get(), Ok(200)));
    });
    finish(&pool);
}

fn a_fork_of_the_process_that_made_the_pool_cannot_use_it() {
    let pool = pool(2);
    let handle = pool.apply_async(square, (3,));
    if env::var("METHOD").unwrap() == "fork" {
        let mut p = Process::new(|| {
            assert_eq!(pool.apply(square, (1,)), Err(TaskError::NotTheMaker));
            pool.close();
            pool.terminate();
            assert!(matches!(pool.join(), Err(PoolError::Process(_))));
            assert!(!handle.cancel());
            // It must not receive what the owner waits for.
            assert!(handle.ready());
            assert_eq!(handle.successful(), Some(false));
        });
        p.start().unwrap();
        p.join().unwrap();
        assert_eq!(p.exitcode(), Some(0));
    }
    assert_eq!(handle.get(), Ok(9));
    assert_eq!(pool.apply(square, (4,)), Ok(16));
    finish(&pool);
}

/// Bytes in one piece: serde takes a `Vec<u8>` for a list of numbers.
#[derive(PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(d).map(|bytes| Self(bytes.into()))
    }
}

fn a_giant_message_arrives_whole() {
    // A spawned pool uses the same channel, and the large message takes a while.
    let size = match env::var("METHOD").unwrap().as_str() {
        "fork" => 256 << 20,
        _ => 16 << 20,
    };
    let pool = pool(2);
    let blob = pool
        .apply(|size: usize| Blob(vec![7; size]), (size,))
        .unwrap();
    assert!(blob.0 == vec![7; size]);
    let back = pool.apply(|blob: Blob| blob.0.len(), (Blob(vec![7; 16 << 20]),));
    assert_eq!(back, Ok(16 << 20));
    finish(&pool);
}

fn inputs_that_panic_do_so_in_the_caller() {
    let pool = pool(2);
    let inputs = || (0..100).inspect(|n| assert!(*n < 50, "enough"));
    std::panic::set_hook(Box::new(|_| ()));
    let caught = |run: &dyn Fn()| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"enough"));
    };
    caught(&|| drop(pool.map(square, inputs())));
    caught(&|| drop(pool.chunksize(3).map(square, inputs())));
    caught(&|| pool.imap(square, inputs()).for_each(drop));
    caught(&|| {
        pool.chunksize(7)
            .imap_unordered(square, inputs())
            .for_each(drop);
    });
    assert_eq!(pool.map(square, 0..4).unwrap(), [0, 1, 4, 9]);
    finish(&pool);
}

/// The lines of a subject that calls [`is_alone`]; `None` if it cannot be.
fn run_alone(subject: &str, method: &str) -> Option<Vec<String>> {
    static USERS: AtomicU32 = AtomicU32::new(0);
    let subject = start(subject, method);
    // A user of its own, since the limit counts all processes of the user. Root has none.
    let lines = if getuid().is_root() {
        let user = USERS.fetch_add(1, Ordering::Relaxed);
        let user = 60_000 + process::id() % 500 * 8 + user;
        subject.user(user).env("ALONE", "1").run().success()
    } else {
        subject.run().success()
    };
    if lines == ["skipped"] {
        eprintln!("skipped: this user may not make a namespace of users");
        return None;
    }
    Some(lines)
}

/// Whether the processes of this one's user are counted apart from all others.
fn is_alone() -> bool {
    let alone =
        env::var("ALONE").is_ok() || unshare(CloneFlags::CLONE_NEWUSER).is_ok();
    if !alone {
        println!("skipped");
    }
    alone
}

fn a_pool_that_cannot_start_all_its_workers_says_so(method: &str) {
    let Some(mut lines) = run_alone("too_few_processes", method) else {
        return;
    };
    let line = lines.remove(0);
    let start = "The pool was not started, only 1 of 3 workers could be started: ";
    assert!(line.starts_with(start), "{line}");
    assert!(line.contains("Resource temporarily unavailable"), "{line}");
    assert_eq!(lines, ["nothing is left", "started with 1"]);
}

fn ctrl_c_at_the_start_leaves_the_pool() {
    for n in 0..20 {
        let pool = pool(1);
        let supervisor = active_children().pop().unwrap();
        kill(Pid::from_raw(supervisor.pid()), Signal::SIGINT).unwrap();
        assert_eq!(pool.apply(square, (n,)), Ok(n * n));
        finish(&pool);
    }
}

fn a_pool_without_tasks_has_run_its_initializer() {
    let runs = Value::new(0).unwrap();
    let count = |runs: Value<u64>| *runs.lock() += 1;
    for pools in 1..=20 {
        let pool = builder().processes(2).initializer(count, (runs.clone(),));
        finish(&pool.start().unwrap());
        assert_eq!(runs.get(), 2 * pools);
    }
}

fn too_few_processes() {
    if !is_alone() {
        return;
    }
    // This one, the supervisor and one worker.
    setrlimit(Resource::RLIMIT_NPROC, 3, 3).unwrap();
    let began = Instant::now();
    println!("{}", builder().processes(3).start().unwrap_err());
    assert!(began.elapsed() > ms(200), "it was tried only once");
    assert!(active_children().is_empty());
    println!("nothing is left");
    // The system counts a process for some time after its end.
    let mut pool = None;
    soon(|| {
        pool = builder().processes(1).start().ok();
        pool.is_some()
    });
    let pool = pool.unwrap();
    assert_eq!(pool.apply(square, (5,)), Ok(25));
    println!("started with 1");
    finish(&pool);
}

fn a_pool_whose_last_worker_cannot_be_replaced_says_so(method: &str) {
    let Some(lines) = run_alone("no_process_for_another_worker", method) else {
        return;
    };
    let why = "only 0 of 1 workers could be started: The system could not fork this \
               process: Resource temporarily unavailable (os error 11). Ask for fewer \
               workers, or raise the limit of processes.";
    assert_eq!(lines, [why, why, "nothing is left"]);
}

fn no_process_for_another_worker() {
    const MANY: u64 = 20;
    if !is_alone() {
        return;
    }
    // The supervisor keeps the low limit: this one, itself and one worker.
    setrlimit(Resource::RLIMIT_NPROC, 3, MANY).unwrap();
    let pool = pool(1);
    let worker = pool.apply(worker_pid, ()).unwrap();
    setrlimit(Resource::RLIMIT_NPROC, MANY, MANY).unwrap();
    let mut others = Vec::new();
    for _ in 0..3 {
        let other = Process::builder().daemon(true);
        let mut other = other.target(|| sleep(Duration::from_mins(1)));
        other.start().unwrap();
        others.push(other);
    }
    let handle = pool.apply_async(nap, (60_000,));
    kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    // The worker may have taken the task before it was killed.
    let outcome = handle.get();
    assert!(
        matches!(
            outcome,
            Err(TaskError::Killed { .. } | TaskError::System(_))
        ),
        "{outcome:?}"
    );
    println!("{}", pool.apply(square, (1,)).unwrap_err());
    let Err(PoolError::Failed(TaskError::System(why))) = pool.join() else {
        panic!("it has ended by itself");
    };
    println!("{why}");
    drop(pool);
    for other in others {
        other.kill().unwrap();
        other.join().unwrap();
    }
    assert!(active_children().is_empty());
    println!("nothing is left");
}

fn children_of(process: i32) -> Vec<Pid> {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(children).unwrap();
    let children = children.split_whitespace();
    children
        .map(|pid| Pid::from_raw(pid.parse().unwrap()))
        .collect()
}

fn workers_that_run_are_looked_after_while_many_others_are_started() {
    const WORKERS: usize = 128;
    let pool = pool(WORKERS);
    let supervisor = pool.apply(|| getppid().as_raw(), ()).unwrap();
    // The system may let the new worker run only after all have been started.
    soon(|| {
        soon(|| children_of(supervisor).len() == WORKERS);
        kill(Pid::from_raw(supervisor), Signal::SIGSTOP).unwrap();
        for worker in children_of(supervisor) {
            kill(worker, Signal::SIGKILL).unwrap();
            let stat = format!("/proc/{worker}/stat");
            soon(|| fs::read_to_string(&stat).unwrap().contains(") Z "));
        }
        let handle = pool.apply_async(|| raise(Signal::SIGKILL).unwrap(), ());
        kill(Pid::from_raw(supervisor), Signal::SIGCONT).unwrap();
        let lost = handle.get();
        let started = children_of(supervisor).len();
        assert_eq!(lost, Err(TaskError::Killed { signal: 9 }));
        started < WORKERS * 3 / 4
    });
}

fn a_pool_without_supervisor_says_so_within_a_second() {
    let supervisor = |pool: &Pool| pool.apply(|| getppid().as_raw(), ()).unwrap();
    for how in ["waits", "only asks", "comes later"] {
        let pool = pool(2);
        let pid = Pid::from_raw(supervisor(&pool));
        let handle = pool.apply_async(nap, (60_000,));
        let killed = Instant::now();
        if how == "waits" {
            thread::scope(|s| {
                s.spawn(|| handle.wait());
                sleep(ms(20));
                kill(pid, Signal::SIGKILL).unwrap();
            });
        } else {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        while how == "only asks" && !handle.ready() {
            assert!(killed.elapsed() < ms(3_000), "it is never told");
            sleep(ms(5));
        }
        assert_eq!(handle.get(), Err(TaskError::Broken));
        assert_eq!(pool.apply(square, (1,)), Err(TaskError::Broken));
        // A second is promised; a busy machine may add to it.
        assert!(killed.elapsed() < ms(3_000), "{:?}", killed.elapsed());
        finish(&pool);
    }
}

fn a_pool_that_ends_before_it_is_closed_says_so_when_it_is_joined() {
    for task_says_so_first in [false, true] {
        let pool = pool(2);
        let supervisor = pool.apply(|| getppid().as_raw(), ()).unwrap();
        assert!(matches!(pool.join(), Err(PoolError::StillRunning)));
        kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
        if task_says_so_first {
            soon(|| pool.apply(square, (1,)) == Err(TaskError::Broken));
        }
        let mut joined = Ok(());
        soon(|| {
            joined = pool.join();
            !matches!(joined, Err(PoolError::StillRunning))
        });
        assert!(
            matches!(joined, Err(PoolError::Failed(TaskError::Broken))),
            "{joined:?}"
        );
        assert_eq!(
            joined.unwrap_err().to_string(),
            "The pool ended before it was closed: the pool is broken, its supervisor \
             has ended: make a new pool."
        );
        let in_time = pool.join_timeout(ms(1));
        assert!(matches!(in_time, Err(PoolError::Failed(_))), "{in_time:?}");
        // There is nothing to wait for.
        finish(&pool);
    }
    let pool = builder().processes(1).initializer(|| process::exit(3), ());
    let pool = pool.start().unwrap();
    let failed = pool.apply(square, (1,)).unwrap_err();
    let joined = pool.join();
    assert!(
        matches!(&joined, Err(PoolError::Failed(error)) if *error == failed),
        "{joined:?}"
    );
    pool.terminate();
    pool.join().unwrap();
}

fn a_kill_storm_costs_the_killed_tasks_alone() {
    const TASKS: u64 = 100_000;
    let mut random = Random::seeded();
    let pool = pool(4);
    let supervisor = pool.apply(|| getppid().as_raw(), ()).unwrap();
    let over = AtomicBool::new(false);
    let (mut values, mut killed, mut sum) = (0, 0, 0);
    let mut lost_sum = 0;
    let kills = thread::scope(|s| {
        let attacker = s.spawn(|| {
            let mut kills = 0;
            while !over.load(Ordering::Relaxed) {
                let workers = children_of(supervisor);
                if !workers.is_empty() {
                    let victim =
                        workers[random.below(workers.len() as u64) as usize];
                    kills += u32::from(kill(victim, Signal::SIGKILL).is_ok());
                }
                sleep(Duration::from_micros(1000 + random.below(3000)));
            }
            kills
        });
        let handles: Vec<_> = (0..TASKS)
            .map(|n| pool.apply_async(|n: u64| n, (n,)))
            .collect();
        for (n, handle) in (0..).zip(handles) {
            match handle.get() {
                Ok(value) => {
                    values += 1;
                    assert_eq!(value, n);
                    sum += value;
                }
                Err(TaskError::Killed { signal: 9 }) => {
                    killed += 1;
                    lost_sum += n;
                }
                Err(other) => panic!("{n}: {other}"),
            }
        }
        over.store(true, Ordering::Relaxed);
        attacker.join().unwrap()
    });
    println!("{kills} kills: {values} values, {killed} tasks killed");
    assert_eq!(values + killed, TASKS);
    assert_eq!(sum + lost_sum, (0..TASKS).sum::<u64>());
    assert!(killed <= u64::from(kills));
    assert_eq!(pool.map(square, 0..4).unwrap(), [0, 1, 4, 9]);
    finish(&pool);
}

fn a_pool_of_which_a_process_is_stopped_can_be_ended() {
    let mut random = Random::seeded();
    for round in 0..30 {
        let pool = pool(2);
        let supervisor = pool.apply(|| getppid().as_raw(), ()).unwrap();
        let children = format!("/proc/{supervisor}/task/{supervisor}/children");
        let mut processes: Vec<i32> = Vec::new();
        soon(|| {
            let workers = fs::read_to_string(&children).unwrap();
            let workers = workers.split_whitespace();
            processes = workers.map(|pid| pid.parse().unwrap()).collect();
            processes.len() == 2
        });
        processes.push(supervisor);
        // Long results, so that it is often stopped while it sends one.
        let long = |n: u64| vec![u64::MAX; 3000 + n as usize];
        let handles: Vec<_> =
            (0..100).map(|n| pool.apply_async(long, (n,))).collect();
        sleep(Duration::from_micros(random.below(20_000)));
        let victim = random.below(processes.len() as u64) as usize;
        let victim = Pid::from_raw(processes.swap_remove(victim));
        kill(victim, Signal::SIGSTOP).unwrap();
        // The supervisor has something to report.
        if processes.contains(&supervisor) {
            processes.retain(|pid| *pid != supervisor);
            kill(Pid::from_raw(processes[0]), Signal::SIGKILL).unwrap();
        }
        let start = Instant::now();
        let _either = handles[99].wait_timeout(ms(10));
        if round % 2 == 0 {
            pool.terminate();
            pool.join().unwrap();
        }
        drop(pool);
        assert!(start.elapsed() < ms(10_000), "{:?}", start.elapsed());
    }
}

fn ctrl_c_during_map_ends_everybody_silently(method: &str) {
    for subject in ["endless_map", "sleepers"] {
        let mut run = start(subject, method).start();
        run.line_with("all there");
        run.signal(Signal::SIGINT);
        run.ends_by(Signal::SIGINT);
    }
}

fn a_program_that_handles_ctrl_c_keeps_its_pool(method: &str) {
    for subject in ["interrupted", "interrupted_with_initializer"] {
        let mut run = start(subject, method).start();
        run.line_with("all there");
        run.signal(Signal::SIGINT);
        run.finish().success();
    }
}

fn interrupted() {
    keep_through_ctrl_c(builder());
}

fn interrupted_with_initializer() {
    let handle = || drop(handle_ctrl_c());
    keep_through_ctrl_c(builder().initializer(handle, ()));
}

fn handle_ctrl_c() -> Arc<AtomicBool> {
    let pressed = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, Arc::clone(&pressed)).unwrap();
    pressed
}

/// Every task ends with its value: those that run when Ctrl+C is pressed, those that
/// wait, and those that are given afterwards.
fn keep_through_ctrl_c(builder: PoolBuilder) {
    let pressed = handle_ctrl_c();
    let pool = builder.processes(2).start().unwrap();
    let gate = Gate::new();
    let running = pool.apply_async(Gate::pass, (gate.address(),));
    let waiting: Vec<_> = (0..20).map(|_| pool.apply_async(nap, (1,))).collect();
    assert_eq!(pool.apply(square, (2,)), Ok(4));
    println!("all there");
    soon(|| pressed.load(Ordering::Relaxed));
    // The signal goes to one process after the other.
    sleep(ms(100));
    gate.open();
    assert_eq!(running.get(), Ok(()));
    assert!(waiting.into_iter().all(|task| task.get() == Ok(1)));
    assert_eq!(pool.map(square, 0..4).unwrap(), [0, 1, 4, 9]);
    finish(&pool);
}

fn a_killed_parent_takes_everybody_along(method: &str) {
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGINT] {
        for subject in ["endless_map", "sleepers"] {
            let mut run = start(subject, method).start();
            run.line_with("all there");
            kill(run.pid(), signal).unwrap();
            run.ends_by(signal);
        }
    }
}

fn endless_map() {
    let pool = pool(3);
    assert_eq!(pool.apply(square, (2,)), Ok(4));
    println!("all there");
    loop {
        pool.map(square, 0..10_000).unwrap();
    }
}

fn sleepers() {
    let pool = pool(3);
    pool.chunksize(1)
        .map(
            |first: bool| {
                if first {
                    println!("all there");
                }
                nap(60_000)
            },
            [false, false, true],
        )
        .unwrap();
}

fn a_pool_whose_results_nobody_awaits_ends_with_its_program() {
    let pool = pool(2);
    for _ in 0..5 {
        drop(pool.apply_async(nap, (60_000,)));
    }
}

fn a_pool_that_is_never_dropped_ends_with_its_program() {
    let pool = pool(2);
    drop(pool.apply_async(nap, (60_000,)));
    std::mem::forget(pool);
    process::exit(0);
}

fn what_a_task_prints_comes_out_before_its_end_is_known(method: &str) {
    let lines = start("half_a_line", method).run().success();
    assert_eq!(lines, ["parent, worker, parent"]);
}

fn half_a_line() {
    let pool = pool(2);
    print!("parent");
    std::io::stdout().flush().unwrap();
    pool.apply(|| print!(", worker"), ()).unwrap();
    println!(", parent");
}
