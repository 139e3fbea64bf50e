//! One kind of failure in each test.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use multiprocessing::broker::Queue;
use multiprocessing::{AsyncResult, TaskError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tutorial::harness::is_running;

use crate::relay::Relay;
use crate::server::{HANG, Server, Worker, effects, processes_of, until};
use crate::{Claim, builder, effect, nap, pool, slow_effect, square, stranger};

pub(crate) const CLAIMS: &[Claim] = &[
    (
        "a_killed_processs_task_begins_again_at_once",
        killed_process,
    ),
    (
        "a_killed_workers_task_begins_again_after_its_lease",
        killed_worker,
    ),
    (
        "a_killed_workers_task_begins_again_although_many_others_cannot",
        behind_others,
    ),
    (
        "a_killed_workers_task_goes_before_those_that_wait",
        before_those_that_wait,
    ),
    ("a_killed_worker_leaves_no_process", no_orphans),
    ("a_stopped_workers_late_result_is_dropped", stopped_worker),
    ("a_task_that_was_taken_away_gives_no_result", taken_away),
    ("one_delivery_is_at_most_once", at_most_once),
    (
        "a_task_given_to_a_worker_that_was_cut_off_is_not_lost",
        wait_then_die,
    ),
    ("a_killed_senders_tasks_go_on", killed_sender),
    ("a_killed_broker_loses_nothing", killed_broker),
    ("an_emptied_broker_ends_what_waits", emptied_broker),
    ("a_connection_cut_for_a_second_loses_nothing", short_cut),
    (
        "a_worker_cut_off_for_longer_than_its_lease_is_replaced",
        long_cut,
    ),
    (
        "a_worker_that_is_cut_off_ends_its_task_before_another_begins_it",
        one_at_a_time,
    ),
    ("a_lost_answer_doubles_nothing", lost_answers),
    (
        "a_check_for_lost_tasks_that_fails_drops_no_outcome",
        check_that_fails,
    ),
    ("a_broker_without_memory_loses_nothing", out_of_memory),
    ("hostile_bytes_end_among_the_dead", hostile_bytes),
    ("no_time_of_a_host_crosses", no_clocks),
    (
        "a_killed_supervisor_gives_its_tasks_back",
        killed_supervisor,
    ),
];

fn killed_process() {
    let server = Server::start();
    let worker = Worker::start(&server.url(), &[("LEASE", "30000")]);
    let pool = pool(&server);
    let times = [1, 2, 3, 4, 5].map(|round| {
        let file = server.file(&format!("effects {round}"));
        let result = pool.apply_async(slow_effect, (file.clone(), 1, 300));
        until("it runs", || !effects(&file).is_empty());
        let pid = pid_of(&effects(&file)[0]);
        assert!(processes_of(worker.pid()).contains(&pid));
        kill(pid, Signal::SIGKILL).unwrap();
        let killed = Instant::now();
        until("it began again", || effects(&file).len() == 2);
        let began = killed.elapsed();
        assert_eq!(result.get(), Ok(300));
        began
    });
    check_restarts("a killed process's task began again", times, SOON);
}

/// A second is promised; a busy machine may add to it.
const SOON: Duration = Duration::from_secs(5);

/// Checks that most restarts took no longer than `most`: a busy machine may have delayed
/// some of them by even more.
fn check_restarts<const N: usize>(
    what: &str,
    mut times: [Duration; N],
    most: Duration,
) {
    times.sort_unstable();
    println!("{what} after {times:?}");
    assert!(times[N / 2] <= most, "{what} after {times:?}");
}

/// The process that wrote this line of the file of effects.
fn pid_of(effect: &str) -> Pid {
    Pid::from_raw(effect.split_once(' ').unwrap().1.parse().unwrap())
}

fn killed_worker() {
    const LEASE: Duration = Duration::from_secs(2);
    let server = Server::start();
    let options = [("LEASE", "2000")];
    let mut first = Worker::start(&server.url(), &options);
    let pool = pool(&server);
    let times = [1, 2, 3].map(|round| {
        let file = server.file(&format!("effects {round}"));
        let result = pool.apply_async(slow_effect, (file.clone(), 1, 1000));
        until("it runs", || !effects(&file).is_empty());
        let second = Worker::start(&server.url(), &options);
        sleep(Duration::from_millis(300));
        first.kill();
        let killed = Instant::now();
        until("it began again", || effects(&file).len() == 2);
        let began = killed.elapsed();
        assert_eq!(result.get(), Ok(1000));
        assert_eq!(effects(&file).len(), 2);
        first = second;
        began
    });
    check_restarts("a killed worker's task began again", times, LEASE + SOON);
}

fn behind_others() {
    let server = Server::start();
    let options = [("LEASE", "1000")];
    let mut first = Worker::start(&server.url(), &options);
    // No worker knows these, and they are not given up during this test. They are more
    // than one heartbeat looks at.
    let pool = builder(&server.url()).deliveries(1000).start().unwrap();
    let _unknown: Vec<_> =
        (0..450).map(|n| pool.apply_async(stranger, (n,))).collect();
    let queue = Queue::open(&server.url(), "default").unwrap();
    until("a worker had them", || queue.stats().unwrap().held == 450);
    let file = server.file("effects");
    let result = pool.apply_async(slow_effect, (file.clone(), 1, 500));
    until("it runs", || !effects(&file).is_empty());
    let _second = Worker::start(&server.url(), &options);
    first.kill();
    assert_eq!(result.get_timeout(HANG).expect("it hangs"), Ok(500));
}

fn before_those_that_wait() {
    let server = Server::start();
    let options = [("LEASE", "1000"), ("PROCESSES", "1")];
    let mut first = Worker::start(&server.url(), &options);
    let pool = pool(&server);
    let file = server.file("effects");
    let result = pool.apply_async(slow_effect, (file.clone(), 1, 500));
    until("it runs", || !effects(&file).is_empty());
    let waiting: Vec<_> = (0..300).map(|_| pool.apply_async(nap, (50,))).collect();
    first.kill();
    let _second = Worker::start(&server.url(), &options);
    assert_eq!(result.get_timeout(HANG).expect("it hangs"), Ok(500));
    let ended = waiting.iter().filter(|result| result.ready()).count();
    assert!(ended < 250, "{ended} of those that wait went before it");
}

fn no_orphans() {
    let server = Server::start();
    let mut worker = Worker::start(&server.url(), &[]);
    let pool = pool(&server);
    assert_eq!(pool.apply(square, (2,)), Ok(4));
    let processes = processes_of(worker.pid());
    assert_eq!(processes.len(), 2);
    worker.kill();
    until("its processes are gone", || {
        !processes.iter().any(|pid| is_running(*pid))
    });
}

fn stopped_worker() {
    let server = Server::start();
    let options = [("LEASE", "1000"), ("PROCESSES", "1")];
    let first = Worker::start(&server.url(), &options);
    let pool = pool(&server);
    let file = server.file("effects");
    let result = pool.apply_async(slow_effect, (file.clone(), 1, 500));
    until("it runs", || !effects(&file).is_empty());
    // The process that runs the task goes on, and its result waits for the worker.
    first.signal(Signal::SIGSTOP);
    let _second = Worker::start(&server.url(), &options);
    until("another began it", || effects(&file).len() == 2);
    first.signal(Signal::SIGCONT);
    assert_eq!(result.get(), Ok(500));
    let queue = Queue::open(&server.url(), "default").unwrap();
    sleep(Duration::from_millis(1500));
    let stats = queue.stats().unwrap();
    assert_eq!((stats.done, stats.failed, stats.held), (1, 0, 0));
    // The first worker takes tasks again.
    let results = [(); 4].map(|()| pool.apply_async(nap, (200,)));
    assert!(results.into_iter().all(|result| result.get() == Ok(200)));
}

/// Between two heartbeats of the worker, its task is given to one that does not exist.
fn taken_away() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[("LEASE", "5000")]);
    let pool = pool(&server);
    let file = server.file("effects");
    let result = pool.apply_async(slow_effect, (file.clone(), 1, 400));
    until("it runs", || !effects(&file).is_empty());
    let key = "mp:{default}:tasks";
    let entries = server.ask(&["XRANGE", key, "-", "+"]);
    let entries: Vec<(String, Vec<String>)> =
        redis::from_redis_value(entries).unwrap();
    let entry = entries[0].0.as_str();
    server.ask(&["XCLAIM", key, "workers", "nobody", "0", entry]);
    // The first outcome is dropped. Once the lease is over, the task runs again.
    assert_eq!(result.get(), Ok(400));
    assert_eq!(effects(&file).len(), 2);
    let queue = Queue::open(&server.url(), "default").unwrap();
    assert_eq!(queue.stats().unwrap().done, 1);
}

fn at_most_once() {
    let server = Server::start();
    let options = [("LEASE", "1000")];
    let mut first = Worker::start(&server.url(), &options);
    let pool = builder(&server.url()).deliveries(1).start().unwrap();
    let file = server.file("effects");
    let result = pool.apply_async(slow_effect, (file.clone(), 1, 60_000));
    until("it runs", || !effects(&file).is_empty());
    let _second = Worker::start(&server.url(), &options);
    first.kill();
    let lost = result.get().unwrap_err();
    assert!(
        matches!(lost, TaskError::Lost { deliveries: 1, .. }),
        "{lost}"
    );
    assert_eq!(effects(&file).len(), 1);
}

/// A failure in which Celery loses a task: the worker waits for tasks, is cut off, is
/// given one, and dies.
fn wait_then_die() {
    let server = Server::start();
    let mut worker = Worker::start(&server.url(), &[("LEASE", "1000")]);
    let pool = pool(&server);
    assert_eq!(pool.apply(square, (2,)), Ok(4));
    sleep(Duration::from_millis(300));
    worker.signal(Signal::SIGSTOP);
    let result = pool.apply_async(square, (5,));
    until("it is there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 1
    });
    sleep(Duration::from_millis(100));
    worker.kill();
    let _other = Worker::start(&server.url(), &[("LEASE", "1000")]);
    assert_eq!(result.get(), Ok(25));
}

fn killed_sender() {
    let server = Server::start();
    let file = server.file("effects");
    let path = file.to_str().unwrap();
    let mut sender =
        Worker::start(&server.url(), &[("SUBJECT", "sender"), ("FILE", path)]);
    let ids: Vec<_> = (0..10).map(|_| sender.line().unwrap()).collect();
    until("all are there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 10
    });
    let _worker = Worker::start(&server.url(), &[]);
    until("some ran", || effects(&file).len() > 2);
    sender.kill();
    let pool = pool(&server);
    for id in ids {
        assert_eq!(pool.result(&id).get(), Ok(200_u64));
    }
    assert_eq!(effects(&file).len(), 10);
}

/// Checks that each result is its own number.
fn check_results(results: Vec<AsyncResult<u64>>) {
    for (number, result) in results.into_iter().enumerate() {
        let result = result.get_timeout(HANG).expect("it hangs");
        assert_eq!(result, Ok(number as u64));
    }
}

/// Checks that this number of tasks had their effect.
fn check_effects(file: &std::path::Path, count: usize) {
    let numbers: HashSet<usize> = effects(file)
        .iter()
        .map(|line| line.split_once(' ').unwrap().0.parse().unwrap())
        .collect();
    assert_eq!(numbers.len(), count);
}

fn killed_broker() {
    let mut server = Server::start();
    let _workers =
        [(); 2].map(|()| Worker::start(&server.url(), &[("LEASE", "3000")]));
    let pool = pool(&server);
    let file = server.file("effects");
    let tasks = 1500;
    let results: Vec<_> = (0..tasks)
        .map(|n| pool.apply_async(slow_effect, (file.clone(), n, 10)))
        .collect();
    let so_far = || effects(&file).len();
    let times = [(); 5].map(|()| {
        sleep(Duration::from_millis(150));
        server.kill();
        sleep(Duration::from_millis(100));
        server.restart();
        let (back, before) = (Instant::now(), so_far());
        assert!(
            before < tasks as usize,
            "all tasks were done before the kill"
        );
        // Tasks that ran when the broker was killed may still have their effects.
        until("all go on", || so_far() > before + 8);
        back.elapsed()
    });
    check_restarts("after the broker was back, all went on", times, SOON);
    for result in results {
        assert_eq!(result.get_timeout(HANG).expect("it hangs"), Ok(10));
    }
    check_effects(&file, tasks as usize);
}

fn emptied_broker() {
    let server = Server::start();
    let _worker =
        Worker::start(&server.url(), &[("LEASE", "1000"), ("PROCESSES", "1")]);
    let pool = builder(&server.url()).result_ttl(HANG).start().unwrap();
    let file = server.file("effects");
    let running = pool.apply_async(slow_effect, (file.clone(), 1, 60_000));
    until("it runs", || !effects(&file).is_empty());
    let waiting: Vec<_> = (0..500).map(|n| pool.apply_async(square, (n,))).collect();
    let id = running.id().unwrap();
    let other = crate::pool(&server);
    let watched = other.result::<u64>(&id);
    until("all are there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 501
    });
    server.ask(&["FLUSHALL"]);
    let emptied = Instant::now();
    assert_eq!(running.get(), Err(TaskError::Forgotten));
    for result in waiting {
        assert_eq!(result.get(), Err(TaskError::Forgotten));
    }
    assert_eq!(watched.get(), Err(TaskError::Forgotten));
    println!(
        "all tasks ended {:?} after the broker was emptied",
        emptied.elapsed()
    );
    // The group is made again.
    assert_eq!(pool.apply(square, (4,)), Ok(16));
}

fn short_cut() {
    let server = Server::start();
    let (workers, sender) = (Relay::to(server.port), Relay::to(server.port));
    let _worker = Worker::start(&workers.url(), &[("LEASE", "8000")]);
    let pool = builder(&sender.url()).start().unwrap();
    let file = server.file("effects");
    let results: Vec<_> = (0..2000)
        .map(|n| pool.apply_async(effect, (file.clone(), n)))
        .collect();
    for relay in [&workers, &sender] {
        relay.cut();
        sleep(Duration::from_secs(1));
        relay.mend();
    }
    check_results(results);
    check_effects(&file, 2000);
}

fn long_cut() {
    let server = Server::start();
    let relay = Relay::to(server.port);
    let options = [("LEASE", "1500"), ("PROCESSES", "1")];
    let first = Worker::start(&relay.url(), &options);
    let pool = pool(&server);
    let file = server.file("effects");
    let long = pool.apply_async(slow_effect, (file.clone(), 1, 6000));
    until("it runs", || !effects(&file).is_empty());
    let processes = processes_of(first.pid());
    relay.cut();
    let _second = Worker::start(&server.url(), &options);
    until("another began it", || effects(&file).len() == 2);
    // The first worker ends the task that it no longer owns.
    until("its process was ended", || {
        !processes.iter().any(|pid| is_running(*pid))
    });
    relay.mend();
    assert_eq!(long.get(), Ok(6000));
    // The first worker takes tasks again.
    let results =
        [(); 6].map(|()| pool.apply_async(slow_effect, (file.clone(), 9, 800)));
    assert!(results.into_iter().all(|result| result.get() == Ok(800)));
    let pids: HashSet<_> = effects(&file)
        .into_iter()
        .filter(|line| line.starts_with("9 "))
        .collect();
    assert_eq!(pids.len(), 2, "both work: {pids:?}");
    // And if it is cut off again, it ends its task again.
    let last = server.file("last effects");
    let long =
        [(); 2].map(|()| pool.apply_async(slow_effect, (last.clone(), 8, 60_000)));
    until("both run", || effects(&last).len() == 2);
    let processes = processes_of(first.pid());
    relay.cut();
    until("its process was ended again", || {
        !processes.iter().any(|pid| is_running(*pid))
    });
    drop(long);
}

fn one_at_a_time() {
    let server = Server::start();
    let relay = Relay::to(server.port);
    let options = [("LEASE", "6000"), ("PROCESSES", "1")];
    let _first = Worker::start(&relay.url(), &options);
    let pool = pool(&server);
    let file = server.file("effects");
    let result = pool.apply_async(slow_effect, (file.clone(), 1, 60_000));
    until("it runs", || !effects(&file).is_empty());
    let process = pid_of(&effects(&file)[0]);
    // Its connections hang: they report no error before the lease is over.
    relay.cut();
    let _second = Worker::start(&server.url(), &options);
    until("another began it", || effects(&file).len() == 2);
    assert!(!is_running(process), "both run it");
    drop(result);
}

fn lost_answers() {
    let server = Server::start();
    let (workers, sender) = (Relay::to(server.port), Relay::to(server.port));
    let _worker = Worker::start(&workers.url(), &[("LEASE", "2000")]);
    let pool = builder(&sender.url()).start().unwrap();
    let file = server.file("effects");
    let mut results = Vec::new();
    for round in 0..10 {
        for number in 0..100 {
            let args = (file.clone(), round * 100 + number);
            results.push(pool.apply_async(effect, args));
        }
        let relay = if round % 2 == 0 { &sender } else { &workers };
        relay.lose_answers();
        sleep(Duration::from_millis(60));
        relay.mend();
    }
    check_results(results);
    check_effects(&file, 1000);
    let queue = Queue::open(&server.url(), "default").unwrap();
    let stats = queue.stats().unwrap();
    assert_eq!((stats.done, stats.waiting, stats.held), (1000, 0, 0));
}

fn check_that_fails() {
    let server = Server::start();
    let relay = Relay::to(server.port);
    let pool = builder(&relay.url()).start().unwrap();
    let tasks = "mp:{default}:tasks";
    let lost = pool.apply_async(square, (2,));
    until("it is there", || server.number(&["XLEN", tasks]) == 1);
    let other = pool.apply_async(square, (3,));
    until("both are there", || server.number(&["XLEN", tasks]) == 2);
    // The sender finds that one is missing, and reads the outcomes until there are no more.
    relay.hold_a_read();
    server.ask(&["XTRIM", tasks, "MAXLEN", "1"]);
    until("it reads", || relay.holds());
    let id = other.id().unwrap();
    let done = format!("mp:{{default}}:done:{}", id.rsplit_once('-').unwrap().0);
    server.ask(&["XADD", &done, "*", "id", &id, "outcome", r#"{"ok":9}"#]);
    relay.break_reads();
    assert_eq!(other.get_timeout(HANG).expect("it hangs"), Ok(9));
    relay.mend();
    let lost = lost.get_timeout(HANG).expect("it hangs");
    assert_eq!(lost, Err(TaskError::Forgotten));
}

fn out_of_memory() {
    let server = Server::start();
    let pool = pool(&server);
    let text = "x".repeat(10_000);
    server.ask(&["CONFIG", "SET", "maxmemory", "3mb"]);
    let results: Vec<_> = (0..500)
        .map(|_| pool.apply_async(crate::length, (text.clone(),)))
        .collect();
    sleep(Duration::from_millis(500));
    let there = server.number(&["XLEN", "mp:{default}:tasks"]);
    assert!(there < 500, "the broker is full: {there}");
    // Tasks can end although the broker is out of memory, which makes room.
    let _worker = Worker::start(&server.url(), &[]);
    for result in results {
        let result = result.get_timeout(HANG).expect("it hangs");
        assert_eq!(result, Ok(10_000));
    }
}

fn hostile_bytes() {
    let server = Server::start();
    let worker = Worker::start(&server.url(), &[("LEASE", "1000")]);
    let pool = pool(&server);
    assert_eq!(pool.apply(square, (2,)), Ok(4));
    let tasks = "mp:{default}:tasks";
    let deep = "[".repeat(100_000);
    let add = |fields: &[&str]| {
        let mut words = vec!["XADD", tasks, "*"];
        words.extend(fields);
        server.ask(&words);
    };
    add(&["junk", "junk"]);
    add(&["id", "x-1", "task", "square"]);
    add(&["id", "no dash", "task", "square", "args", "[1]"]);
    add(&[
        "id", "x-2", "task", "square", "args", "[1]", "deadline", "soon",
    ]);
    add(&["id", "x-3", "task", "square", "args", "[1]", "keep", "-7"]);
    let many: Vec<String> = (0..9000).map(|n| n.to_string()).collect();
    add(&many.iter().map(String::as_str).collect::<Vec<_>>());
    // These are tasks, but their arguments or options are malformed.
    add(&["id", "x-4", "task", "square", "args", &deep]);
    add(&[
        "id", "x-5", "task", "square", "args", "[1]", "many", "1", "most", "nan",
    ]);
    add(&[
        "id",
        "x-6",
        "task",
        "square",
        "args",
        "[2]",
        "keep",
        "99999999999999999",
    ]);
    add(&[
        "id", "x-7", "task", "square", "args", "[2]", "expires", "never",
    ]);
    let queue = Queue::open(&server.url(), "default").unwrap();
    until("all are off the queue", || {
        server.number(&["XLEN", tasks]) == 0
    });
    let stats = queue.stats().unwrap();
    let dead = queue.dead(100).unwrap();
    assert_eq!(stats.dead, 6, "{dead:#?}");
    for task in dead {
        let why = TaskError::Argument("the entry is no task".into());
        assert_eq!(task.error, why);
    }
    assert!(is_running(worker.pid()));
    assert_eq!(pool.apply(square, (3,)), Ok(9));
}

/// A test has only one clock. It therefore checks that the only time in a task's entry is
/// one of the broker's clock.
fn no_clocks() {
    let server = Server::start();
    let pool = builder(&server.url()).expires(HANG).start().unwrap();
    pool.apply_async(square, (3,));
    until("it is there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 1
    });
    let entries = server.ask(&["XRANGE", "mp:{default}:tasks", "-", "+"]);
    let entries: Vec<(String, Vec<String>)> =
        redis::from_redis_value(entries).unwrap();
    let (id, fields) = &entries[0];
    let made: u64 = id.split_once('-').unwrap().0.parse().unwrap();
    let times: Vec<u64> = fields
        .iter()
        .filter_map(|field| field.parse().ok())
        .filter(|number| *number > 1_000_000_000)
        .collect();
    let [expires] = times.as_slice() else {
        panic!("{fields:?}");
    };
    let after = expires - made;
    let hang = HANG.as_millis() as u64;
    assert!((hang..hang + 1000).contains(&after), "{after}");
}

fn killed_supervisor() {
    let server = Server::start();
    let options = [("LEASE", "30000")];
    let mut first = Worker::start(&server.url(), &options);
    let pool = pool(&server);
    let file = server.file("effects");
    let result = pool.apply_async(slow_effect, (file.clone(), 1, 1500));
    until("it runs", || !effects(&file).is_empty());
    let supervisor = crate::server::children(first.pid())[0];
    kill(supervisor, Signal::SIGKILL).unwrap();
    assert!(first.wait().success());
    assert!(first.line().unwrap().contains("start the worker again"));
    let _second = Worker::start(&server.url(), &options);
    assert_eq!(result.get(), Ok(1500));
}
