//! The promises that need no failure, or only a failure of a task itself.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::pin::pin;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread, sleep};
use std::time::{Duration, Instant};

use multiprocessing::broker::{BrokerError, Queue};
use multiprocessing::{Pool, TaskError};
use nix::sys::signal::Signal;

use crate::relay::{KEY, Relay};
use crate::server::{HANG, Server, Worker, effects, until};
use crate::{
    Claim, builder, divide, effect, length, letters, nap, nothing, poison, pool,
    slow_effect, square, stranger,
};

pub(crate) const CLAIMS: &[Claim] = &[
    ("values_come_back_as_from_a_local_pool", values),
    ("failures_come_back_as_from_a_local_pool", failures),
    ("a_deadline_and_a_cancel_end_a_task_alone", deadlines),
    ("a_function_without_a_name_is_refused_at_once", unregistered),
    (
        "an_unknown_name_waits_for_a_worker_that_knows_it",
        unknown_names,
    ),
    ("a_broker_that_forgets_is_refused_with_the_remedy", refusals),
    ("a_poison_task_ends_as_lost_and_harms_no_other", poisons),
    ("a_dead_task_can_be_tried_again_or_dropped", dead_tasks),
    ("a_dead_entry_that_is_no_task_is_kept_whole", dead_junk),
    ("a_place_among_the_dead_is_that_of_one_task", places),
    (
        "a_result_can_be_looked_up_by_id_from_any_program",
        results_by_id,
    ),
    ("calls_with_one_key_are_one_task_and_share_its_result", keys),
    ("a_key_survives_its_sender_and_a_lost_answer", keys_survive),
    ("a_key_that_cannot_be_kept_is_refused", refused_keys),
    (
        "a_caller_that_waits_for_a_result_by_id_learns_of_a_cancel",
        cancelled_result,
    ),
    ("a_result_that_has_expired_is_forgotten", expired_result),
    ("threads_that_wait_receive_for_each_other", waiting_threads),
    ("outcomes_that_were_read_leave_the_broker", trimming),
    ("a_queues_name_may_look_like_a_part_of_a_key", queue_names),
    (
        "the_status_shows_control_characters_as_escapes",
        hostile_status,
    ),
    ("the_status_answers_a_misuse_by_one_sentence", wrong_status),
    ("an_old_broker_is_refused", old_broker),
    ("a_key_of_another_program_is_named", foreign_key),
    (
        "a_lack_of_descriptors_is_not_the_brokers_fault",
        no_descriptors,
    ),
    ("workers_of_one_queue_have_one_lease", other_lease),
    (
        "a_terminated_pool_takes_its_tasks_from_the_broker",
        terminated,
    ),
    ("a_task_that_waits_too_long_expires", expiry),
    ("a_full_queue_holds_its_senders_back", capacity),
    (
        "sigterm_without_grace_gives_running_tasks_back_at_once",
        sigterm,
    ),
    ("sigterm_lets_tasks_end_within_the_grace", grace),
    ("a_second_signal_ends_the_grace", second_signal),
    ("an_idle_worker_asks_at_most_once_a_second", idle),
    ("a_task_longer_than_the_lease_runs_once", long_tasks),
    ("stats_report_tasks_that_wait_run_and_ended", stats),
    ("nothing_is_left_at_the_broker", nothing_left),
    ("a_closed_pool_joins_when_its_tasks_have_ended", closing),
];

fn values() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[]);
    let pool = pool(&server);
    assert_eq!(pool.apply(square, (7,)), Ok(49));
    assert_eq!(pool.apply(nothing, ()), Ok(()));
    assert_eq!(pool.apply(divide, (7, 2)), Ok(3));
    assert_eq!(
        pool.apply(length, ("\"{}\n\u{1F600}".repeat(1000),)),
        Ok(8000)
    );
    assert_eq!(pool.apply(letters, (3_000_000,)).unwrap().len(), 3_000_000);
    let squares: Vec<_> = (0..1000).map(|x: u64| x * x).collect();
    assert_eq!(pool.map(square, 0..1000).as_ref(), Ok(&squares));
    assert_eq!(
        pool.chunksize(1).map(square, 0..1000).as_ref(),
        Ok(&squares)
    );
    assert_eq!(pool.starmap(divide, [(6, 3), (8, 2)]), Ok(vec![2, 4]));
    let lazy: Result<Vec<_>, _> = pool.imap(square, 0..).take(1000).collect();
    assert_eq!(lazy.as_ref(), Ok(&squares));
    let any: Result<Vec<_>, _> = pool.imap_unordered(square, 0..1000).collect();
    let mut any = any.unwrap();
    any.sort_unstable();
    assert_eq!(any, squares);

    let (sender, called) = mpsc::channel();
    let result = pool.apply_async(square, (9,)).callback(move |value| {
        sender.send(value).unwrap();
    });
    assert_eq!(called.recv_timeout(HANG), Ok(81));
    assert_eq!(result.get(), Ok(81));
    let sum = async {
        let (four, nine) = (
            pool.apply_async(square, (2,)),
            pool.apply_async(square, (3,)),
        );
        four.await.unwrap() + nine.await.unwrap()
    };
    assert_eq!(awaited(sum), 13);
    assert_eq!(
        pool.map(square, [u64::from(u32::MAX)]),
        Ok(vec![0xffff_fffe_0000_0001])
    );
}

/// Runs a future to its end on this thread.
fn awaited<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        thread::park_timeout(HANG);
    }
}

fn failures() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[]);
    let pool = pool(&server);
    let panicked = pool.apply(divide, (1, 0)).unwrap_err();
    let TaskError::Panicked { message, place } = &panicked else {
        panic!("{panicked:?}");
    };
    assert_eq!(message, "attempt to divide by zero");
    assert!(place.contains("main.rs:"), "{place}");
    let chunk = pool.starmap_async(divide, [(1, 1), (1, 0)]);
    chunk.wait();
    assert_eq!(chunk.successful(), Some(false));
    assert!(matches!(chunk.get(), Err(TaskError::Panicked { .. })));
    let each: Vec<_> = pool
        .chunksize(3)
        .imap(square, [2, u64::MAX, 3])
        .map(Result::ok)
        .collect();
    assert_eq!(each, [Some(4), None, Some(9)]);
}

fn deadlines() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[("LEASE", "1000")]);
    let pool = pool(&server);
    let limit = Duration::from_millis(100);
    assert_eq!(
        pool.deadline(limit).apply(nap, (60_000,)),
        Err(TaskError::Deadline)
    );
    let long = [(); 2].map(|()| pool.apply_async(nap, (60_000,)));
    let queue = Queue::open(&server.url(), "default").unwrap();
    until("both run", || queue.stats().unwrap().running.len() == 2);
    let waiting = pool.apply_async(nap, (60_000,));
    for result in [&long[0], &long[1], &waiting] {
        assert!(result.cancel());
    }
    for result in long {
        assert_eq!(result.get(), Err(TaskError::Cancelled));
    }
    // Both processes are free again.
    assert_eq!(pool.apply(square, (3,)), Ok(9));
    until("nothing runs", || queue.stats().unwrap().running.is_empty());
    assert_eq!(queue.stats().unwrap().cancelled, 3);
}

fn unregistered() {
    let server = Server::start();
    let pool = pool(&server);
    let ended = pool.apply(|x: u64| x, (1,)).unwrap_err();
    assert_eq!(
        ended.to_string(),
        "the function is not among the tasks of the pool: add it to them"
    );
}

fn unknown_names() {
    let server = Server::start();
    let url = server.url();
    let lease = ("LEASE", "1000");
    let _old = Worker::start(&url, &[lease]);
    let pool = pool(&server);
    // A task whose name no worker knows is dead in the end.
    let unknown = pool.apply_async(stranger, (1,));
    assert_eq!(
        unknown.get(),
        Err(TaskError::Unregistered("stranger".into()))
    );
    // A task whose name a newer worker knows waits for that worker.
    let result = pool.apply_async(stranger, (5,));
    // A heartbeat of the old worker cannot renew its lease once it was given back.
    until("nobody owns it", || {
        let whose = ["mp:{default}:tasks", "workers", "-", "+", "1", "nobody"];
        let owned = server.ask(&[&["XPENDING"], &whose[..]].concat());
        matches!(owned, redis::Value::Array(owned) if owned.len() == 1)
    });
    let _new = Worker::start(&url, &[lease, ("KNOWS_ALL", "1")]);
    assert_eq!(result.get(), Ok(5));
    let dead = Queue::open(&url, "default").unwrap().dead(10).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].task, "stranger");
}

fn refusals() {
    let forgetful = Server::with(&["--appendonly", "no"]);
    let refused = builder(&forgetful.url()).start().unwrap_err();
    assert!(matches!(refused, BrokerError::Forgets { .. }), "{refused}");
    assert!(
        refused.to_string().contains("CONFIG SET appendonly yes"),
        "{refused}"
    );
    builder(&forgetful.url()).may_forget().start().unwrap();
    // The remedy that the message names works.
    forgetful.ask(&["CONFIG", "SET", "appendonly", "yes"]);
    builder(&forgetful.url()).start().unwrap();
    forgetful.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let refused = builder(&forgetful.url()).start().unwrap_err();
    assert!(
        refused.to_string().contains("maxmemory-policy noeviction"),
        "{refused}"
    );
    let worker = Worker::start(&forgetful.url(), &[]);
    assert_eq!(worker.line(), Some(refused.to_string()));

    let absent = builder("redis://127.0.0.1:1/0").start().unwrap_err();
    assert!(
        absent
            .to_string()
            .starts_with("No broker answers at 127.0.0.1:1")
    );
    let odd = builder("http://here").start().unwrap_err();
    assert!(matches!(odd, BrokerError::Address { .. }), "{odd}");

    let server = Server::with(&["--appendonly", "yes", "--requirepass", "sesame"]);
    let locked = builder(&server.url()).start().unwrap_err();
    assert!(matches!(locked, BrokerError::Refused { .. }), "{locked}");
    let open = format!("redis://:sesame@127.0.0.1:{}/0", server.port);
    let pool = builder(&open).start().unwrap();
    assert!(!format!("{pool:?}").contains("sesame"));
}

fn foreign_key() {
    let server = Server::start();
    for key in ["mp:{default}:tasks", "mp:{default}:lease"] {
        server.ask(&["DEL", key]);
        server.ask(&["RPUSH", key, "another program's"]);
        let says = format!(
            "Another program has used the key {key} at the broker at 127.0.0.1:{}: give \
             the queue another name, or delete that key, as by `redis-cli DEL '{key}'`.",
            server.port
        );
        let worker = Worker::start(&server.url(), &[]);
        assert_eq!(worker.line().as_deref(), Some(says.as_str()));
        if key.ends_with("tasks") {
            let pool = pool(&server);
            let refused = pool.apply_async(square, (2,)).get_timeout(HANG);
            assert_eq!(refused.ok().unwrap(), Err(TaskError::System(says)));
        }
        server.ask(&["DEL", key]);
    }
}

fn no_descriptors() {
    let server = Server::start();
    let starved = Worker::start(&server.url(), &[("SUBJECT", "starved")]);
    let says = format!(
        "This process has too many open files to connect to the broker at 127.0.0.1:{}: \
         close some, or raise its limit, as by `ulimit -n 4096`.",
        server.port
    );
    assert_eq!(starved.line(), Some(says));
}

fn poisons() {
    let server = Server::start();
    let _workers =
        [(); 2].map(|()| Worker::start(&server.url(), &[("LEASE", "2000")]));
    let pool = pool(&server);
    let numbers = (0..1000).map(|number| (number, 500));
    let results: Vec<_> =
        numbers.map(|args| pool.apply_async(poison, args)).collect();
    for (number, result) in results.into_iter().enumerate() {
        match result.get() {
            Ok(value) => assert_eq!(value, number as u64),
            Err(TaskError::Lost {
                deliveries,
                last_worker,
            }) => {
                assert_eq!((number, deliveries), (500, 3));
                assert!(last_worker.contains("SIGKILL"), "{last_worker}");
            }
            Err(error) => panic!("{number}: {error}"),
        }
    }
}

fn dead_tasks() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[]);
    let pool = builder(&server.url())
        .deliveries(1)
        .result_ttl(Duration::from_mins(1))
        .start()
        .unwrap();
    let file = server.file("effects");
    let deadly = |number: u64| pool.apply(poison, (number, number)).unwrap_err();
    assert!(matches!(deadly(1), TaskError::Lost { deliveries: 1, .. }));
    assert!(matches!(deadly(2), TaskError::Lost { deliveries: 1, .. }));
    let queue = Queue::open(&server.url(), "default").unwrap();
    let dead = queue.dead(10).unwrap();
    let args: Vec<_> = dead.iter().map(|task| task.args.as_str()).collect();
    assert_eq!(args, ["[1,1]", "[2,2]"]);
    assert!(queue.discard(&dead[0].place).unwrap());
    assert!(!queue.discard(&dead[0].place).unwrap());
    assert!(!queue.retry(&dead[0].place).unwrap());
    // The task kills its process again, and is dead again, at another place.
    assert!(queue.retry(&dead[1].place).unwrap());
    until("it is dead again", || {
        queue
            .dead(10)
            .unwrap()
            .first()
            .is_some_and(|task| task.place != dead[1].place)
    });
    assert_eq!(queue.stats().unwrap().dead, 1);
    let entry = server.ask(&["XRANGE", "mp:{default}:dead", "-", "+"]);
    let entry: Vec<(String, Vec<String>)> = redis::from_redis_value(entry).unwrap();
    let fields = entry[0].1.iter().filter(|field| *field == "entry").count();
    assert_eq!(fields, 1, "{entry:?}");
    assert_eq!(pool.apply(effect, (file, 1)), Ok(1));
}

fn dead_junk() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[]);
    let fields: Vec<String> = (0..600).map(|n| n.to_string()).collect();
    let add = ["XADD", "mp:{default}:tasks", "*"].into_iter();
    let add = add.chain(fields.iter().map(String::as_str));
    server.ask(&add.collect::<Vec<_>>());
    let queue = Queue::open(&server.url(), "default").unwrap();
    until("it is dead", || queue.stats().unwrap().dead == 1);
    let place = queue.dead(1).unwrap().remove(0).place;
    let refused = queue.retry(&place).unwrap_err();
    assert!(
        matches!(&refused, BrokerError::NoTask { place: at } if *at == place),
        "{refused}"
    );
    let entry = server.ask(&["XRANGE", "mp:{default}:dead", &place, &place]);
    let entry: Vec<(String, Vec<String>)> = redis::from_redis_value(entry).unwrap();
    assert!(entry[0].1.ends_with(&fields), "{entry:?}");
    assert!(queue.discard(&place).unwrap());
}

fn places() {
    let server = Server::start();
    let task = ["entry", "1-0", "outcome", "", "deliveries", "3"];
    let task = [task, ["id", "x-1", "task", "square", "args", "[1]"]].concat();
    for place in ["5-1", "5-2"] {
        server.ask(&[&["XADD", "mp:{default}:dead", place], &*task].concat());
    }
    let queue = Queue::open(&server.url(), "default").unwrap();
    for place in ["5", "5-0", "5-3"] {
        assert!(!queue.retry(place).unwrap(), "{place}");
        assert!(!queue.discard(place).unwrap(), "{place}");
    }
    assert!(queue.retry("5-1").unwrap());
    assert!(queue.discard("5-2").unwrap());
    assert_eq!(queue.stats().unwrap().dead, 0);
    assert_eq!(queue.stats().unwrap().waiting, 1);
}

fn results_by_id() {
    let server = Server::start();
    let url = server.url();
    let kept = builder(&url)
        .result_ttl(Duration::from_mins(1))
        .start()
        .unwrap();
    let result = kept.apply_async(nap, (300,));
    let id = result.id().unwrap();
    until("it is there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 1
    });
    let other = pool(&server);
    // The result is asked for before the task runs, while it runs, and after.
    let early = other.result::<u64>(&id);
    let _worker = Worker::start(&url, &[]);
    let during = other.result::<u64>(&id);
    assert_eq!(early.get(), Ok(300));
    assert_eq!(during.get(), Ok(300));
    assert_eq!(result.get(), Ok(300));
    assert_eq!(other.result(&id).get(), Ok(300_u64));
    assert_eq!(
        other.result::<u64>("no-such-1").get(),
        Err(TaskError::Forgotten)
    );
    // A result that is not kept is gone once its sender has read it.
    let unkept = other.apply_async(square, (2,));
    let id = unkept.id().unwrap();
    assert_eq!(unkept.get(), Ok(4));
    assert_eq!(other.result::<u64>(&id).get(), Err(TaskError::Forgotten));
}

fn keys() {
    let server = Server::start();
    let file = server.file("effects");
    let (one, other) = (pool(&server), pool(&server));
    let ask = |pool: &Pool, key: &str, number| {
        pool.apply_async_with_key(key, effect, (file.clone(), number))
    };
    // Before the task runs, while it waits, and after it has ended.
    let first = ask(&one, "order: 17-\u{fe}", 17);
    let id = first.id().unwrap();
    let same = ask(&one, "order: 17-\u{fe}", 18);
    let elsewhere = ask(&other, "order: 17-\u{fe}", 19);
    let plain = one.apply_async(effect, (file.clone(), 20));
    let different = ask(&one, "order: 18", 21);
    // One caller that no longer waits takes nothing from the others.
    assert!(ask(&one, "order: 17-\u{fe}", 22).cancel());
    let _worker = Worker::start(&server.url(), &[]);
    let results = [first, same, elsewhere, plain, different];
    let results = results.map(|result| result.get_timeout(HANG).ok().unwrap());
    let known = results[0].clone().unwrap();
    assert!([17, 18, 19].contains(&known), "{known}");
    assert_eq!(results[..3], [Ok(known), Ok(known), Ok(known)]);
    assert_eq!(results[3..], [Ok(20), Ok(21)]);
    assert_eq!(ask(&other, "order: 17-\u{fe}", 23).get(), Ok(known));
    assert_eq!(other.result(&id).get(), Ok(known));
    assert_eq!(effects(&file).len(), 3);
    let stats = Queue::open(&server.url(), "default").unwrap().stats();
    assert_eq!(stats.unwrap().done, 3);

    // An error is an outcome too.
    let bad = || one.apply_async_with_key("bad", divide, (1, 0)).get();
    assert!(matches!(bad(), Err(TaskError::Panicked { .. })));
    assert_eq!(bad(), bad());
    // The key is free when the result is no longer kept.
    let brief = builder(&server.url())
        .result_ttl(Duration::from_millis(200))
        .start()
        .unwrap();
    assert_eq!(ask(&brief, "brief", 30).get(), Ok(30));
    until("the key is free", || {
        sleep(Duration::from_millis(50));
        ask(&brief, "brief", 31).get() == Ok(31)
    });
    drop(one);
    assert_eq!(other.apply(square, (2,)), Ok(4));
}

fn keys_survive() {
    let server = Server::start();
    let file = server.file("effects");
    let relay = Relay::to(server.port);
    let sender = builder(&relay.url()).start().unwrap();
    let first = sender.apply_async(effect, (file.clone(), 99));
    until("the first is there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 1
    });
    relay.lose_answers_to_keys();
    let sent: Vec<_> = (0..20)
        .map(|number| {
            let key = format!("{KEY}{number}");
            sender.apply_async_with_key(&key, effect, (file.clone(), number))
        })
        .collect();
    until("an answer was lost", || relay.has_lost());
    assert!(server.number(&["XLEN", "mp:{default}:tasks"]) > 1);
    relay.mend();
    until("all are there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 21
    });
    drop((first, sent, sender));
    // Another sender submits all of them again.
    let pool = pool(&server);
    let again: Vec<_> = (0..20)
        .map(|number| {
            let key = format!("{KEY}{number}");
            pool.apply_async_with_key(&key, effect, (file.clone(), number))
        })
        .collect();
    let _worker = Worker::start(&server.url(), &[]);
    for (number, result) in again.into_iter().enumerate() {
        let result = result.get_timeout(HANG).ok().unwrap();
        assert_eq!(result, Ok(number as u64));
    }
    until("the first has ended, too", || effects(&file).len() == 21);
    until("the broker knows that", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 0
    });
    // A broker that was emptied has lost the task, and its key is free.
    let lost = pool.apply_async_with_key("slow", nap, (60_000,));
    until("it is there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 1
    });
    server.ask(&["FLUSHALL"]);
    let lost = lost.get_timeout(HANG).ok().unwrap();
    assert_eq!(lost, Err(TaskError::Forgotten));
    assert_eq!(pool.apply_async_with_key("slow", nap, (1,)).get(), Ok(1));
}

fn refused_keys() {
    let server = Server::start();
    let pool = pool(&server);
    let long = "k".repeat(1025);
    let refused = pool.apply_async_with_key(&long, square, (2,));
    // There is no worker: a task that was not refused would never end.
    let refused = refused.get_timeout(HANG).ok().unwrap();
    assert!(
        matches!(&refused, Err(TaskError::Argument(why)) if why.contains("1025")),
        "{refused:?}"
    );
    assert_eq!(server.number(&["DBSIZE"]), 0);
}

fn cancelled_result() {
    let server = Server::start();
    let kept = builder(&server.url()).result_ttl(HANG).start().unwrap();
    let result = kept.apply_async(square, (2,));
    let id = result.id().unwrap();
    until("it is there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 1
    });
    let other = pool(&server);
    let early = other.result::<u64>(&id);
    assert_eq!(early.id().as_ref(), Some(&id));
    until("it is watched", || {
        server.number(&["EXISTS", &format!("mp:{{default}}:watchers:{id}")]) == 1
    });
    assert!(result.cancel());
    let early = early.get_timeout(HANG).ok().unwrap();
    assert_eq!(early, Err(TaskError::Cancelled));
    let late = other.result::<u64>(&id).get();
    assert_eq!(late, Err(TaskError::Cancelled));
}

fn expired_result() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[]);
    let brief = builder(&server.url())
        .result_ttl(Duration::from_millis(1))
        .start()
        .unwrap();
    let result = brief.apply_async(square, (3,));
    let id = result.id().unwrap();
    result.wait();
    until("it has expired", || {
        server.number(&["EXISTS", &format!("mp:{{default}}:result:{id}")]) == 0
    });
    // The sender has its result all the same.
    assert_eq!(result.get(), Ok(9));
    let late = brief.result::<u64>(&id).get_timeout(HANG).ok().unwrap();
    assert_eq!(late, Err(TaskError::Forgotten));
}

fn waiting_threads() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[("PROCESSES", "3")]);
    let pool = pool(&server);
    let pool = &pool;
    thread::scope(|scope| {
        for thread in 0..6 {
            scope.spawn(move || {
                for number in 0..100 {
                    let number = thread * 1000 + number;
                    if thread % 3 == 0 {
                        let result = pool.apply_async(square, (number,));
                        let result = result.get_timeout(HANG).ok().unwrap();
                        assert_eq!(result, Ok(number * number));
                    } else {
                        assert_eq!(
                            pool.apply(square, (number,)),
                            Ok(number * number)
                        );
                    }
                }
            });
        }
    });
    // A task that ends after the thread that received has its own.
    let slow = pool.apply_async(nap, (500,));
    assert_eq!(pool.apply(square, (3,)), Ok(9));
    assert_eq!(slow.get_timeout(HANG).ok().unwrap(), Ok(500));
    // A task that is submitted while a thread receives that waits for its own. The pool
    // is new, so its receiver is asleep and the thread receives.
    let fresh = crate::pool(&server);
    thread::scope(|scope| {
        let first = scope.spawn(|| fresh.apply(nap, (400,)));
        until("it is there", || {
            server.number(&["XLEN", "mp:{default}:tasks"]) == 1
        });
        sleep(Duration::from_millis(50));
        let slow = fresh.apply_async(nap, (900,));
        assert_eq!(slow.get_timeout(HANG).ok().unwrap(), Ok(900));
        assert_eq!(first.join().unwrap(), Ok(400));
    });
    // A thread that waits for its own task learns of the pool's end.
    thread::scope(|scope| {
        let waiting = scope.spawn(move || pool.apply(nap, (60_000,)));
        until("it is there", || {
            server.number(&["XLEN", "mp:{default}:tasks"]) == 1
        });
        pool.terminate();
        assert_eq!(waiting.join().unwrap(), Err(TaskError::Terminated));
    });
}

fn trimming() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[]);
    let pool = pool(&server);
    // Entries of all senders' outcomes.
    let left = || {
        let keys = server.ask(&["KEYS", "mp:{default}:done:*"]);
        let keys: Vec<String> = redis::from_redis_value(keys).unwrap();
        keys.iter()
            .map(|key| server.number(&["XLEN", key]))
            .sum::<i64>()
    };
    for number in 0..20 {
        assert_eq!(pool.apply(square, (number,)), Ok(number * number));
    }
    // The last one that was read marks the place.
    until("they are removed after a while", || left() <= 1);
    // One after the other: whoever receives removes them before it reads the next.
    for _ in 0..20 {
        assert_eq!(pool.apply(letters, (200_000,)).unwrap().len(), 200_000);
        assert!(left() < 12, "{} large results are kept", left());
    }
    until("they are removed after a while", || left() <= 1);
}

fn queue_names() {
    let server = Server::start();
    for name in ["orders:client:7", "a}{b:done:", "\r\n *"] {
        let _worker = Worker::start(&server.url(), &[("QUEUE", name)]);
        let pool = builder(&server.url())
            .queue(name)
            .result_ttl(HANG)
            .start()
            .unwrap();
        let result = pool.apply_async(square, (3,));
        let id = result.id().unwrap();
        assert_eq!(result.get_timeout(HANG).ok().unwrap(), Ok(9), "{name:?}");
        let other = builder(&server.url()).queue(name).start().unwrap();
        let result = other.result::<u64>(&id).get_timeout(HANG).ok().unwrap();
        assert_eq!(result, Ok(9), "{name:?}");
    }
}

/// A terminal obeys control characters, and any program that reaches the broker can put
/// some there.
fn hostile_status() {
    const HOSTILE: &str = "\u{1b}]0;title\u{7}\u{9b}2J\r\nx-1";
    let server = Server::start();
    // As JSON writes it.
    let text = r#""\u001b]0;title\u0007\u009b2J\r\nx-1""#;
    let record = format!(r#"{{"host":{text},"pid":1,"processes":1,"running":[]}}"#);
    let error = format!(r#"{{"error":{{"Argument":{text}}}}}"#);
    let fields = ["id", HOSTILE, "task", HOSTILE, "args", HOSTILE];
    let tasks = ["XADD", "mp:{default}:tasks", "*"];
    server.ask(&[tasks.as_slice(), &fields].concat());
    let dead = ["XADD", "mp:{default}:dead", "*", "outcome", &error];
    server.ask(&[dead.as_slice(), &fields].concat());
    let join = ["XGROUP", "CREATE", "mp:{default}:tasks", "workers", "0"];
    server.ask(&join);
    let read = ["XREADGROUP", "GROUP", "workers", HOSTILE, "STREAMS"];
    server.ask(&[read.as_slice(), &["mp:{default}:tasks", ">"]].concat());
    let report = format!("9999999999999 {record}");
    server.ask(&["HSET", "mp:{default}:agents", HOSTILE, &report]);
    for (command, lines) in [("dead", 1), ("once", 3)] {
        let status = env!("CARGO_BIN_EXE_multiprocessing-status");
        let shown = Command::new(status)
            .args([&server.url(), "default", command])
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert_eq!(shown.lines().count(), lines, "{shown:?}");
        assert!(shown.contains(r"\u{1b}]0;title\u{7}\u{9b}2J"), "{shown:?}");
        let harmful = |c: char| c.is_control() && c != '\n';
        assert!(!shown.contains(harmful), "{shown:?}");
    }
}

fn wrong_status() {
    let server = Server::start();
    let url = server.url();
    let ends = |arguments: &[&OsStr], code: i32, says: &str| {
        let mut status = Command::new(env!("CARGO_BIN_EXE_multiprocessing-status"));
        let end = status.args(arguments).output().unwrap();
        let said = String::from_utf8(end.stderr).unwrap();
        assert_eq!(end.status.code(), Some(code), "{said}");
        assert!(said.starts_with(says), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    let [url, queue] = [&url, "default"].map(OsStr::new);
    let usage = "Usage: multiprocessing-status redis://HOST:PORT/0";
    ends(&[], 2, usage);
    ends(&["--help".as_ref()], 2, usage);
    ends(&[url, queue, "twice".as_ref()], 2, usage);
    ends(
        &[OsStr::from_bytes(b"\xff")],
        1,
        "Error: That is not the address of a broker",
    );
    let nothing_there = "Error: There is no dead task at this place";
    for place in [
        "7-0",
        "7",
        "",
        "-",
        "here",
        "+7-0",
        "99999999999999999999-0",
    ] {
        for command in ["retry", "drop"] {
            let arguments = [url, queue, command.as_ref(), place.as_ref()];
            ends(&arguments, 1, nothing_there);
        }
    }
}

/// The server here answers `INFO` with the given text, and hangs up on a client that says
/// something else before.
fn old_broker() {
    let refusal = |about: &'static str| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("redis://{}/0", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while let Some(Ok(line)) = lines.next() {
                let mut stream = &stream;
                let answer = match line.to_ascii_uppercase().as_str() {
                    "INFO" => format!("${}\r\n{about}\r\n", about.len()),
                    "CLIENT" => break,
                    _ => continue,
                };
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        });
        let started = builder(&url).start();
        drop(server);
        started.map(drop).unwrap_err().to_string()
    };
    assert_eq!(
        refusal("redis_version:6.2.14\r\naof_enabled:1\r\n"),
        "The broker is Redis 6.2.14: install 7.0 or newer, or Valkey."
    );
    let other = refusal("redis_version:7.0.0\r\naof_enabled:0\r\n");
    assert!(other.contains("CONFIG SET appendonly yes"), "{other}");
    let other = refusal(
        "redis_version:7.0.0\r\naof_enabled:1\r\nmaxmemory_policy:volatile-lru\r\n",
    );
    assert!(other.contains("(volatile-lru)"), "{other}");
    let silent = refusal("Welcome\r\n");
    assert!(silent.contains("does not say that it is Redis"), "{silent}");
}

fn other_lease() {
    let server = Server::start();
    let first = Worker::start(&server.url(), &[("LEASE", "1000")]);
    until("the first has joined", || {
        server.number(&["EXISTS", "mp:{default}:lease"]) == 1
    });
    let second = Worker::start(&server.url(), &[("LEASE", "2000")]);
    let says = "The workers of this queue have a lease of 1s, not 2s: give all of them the \
                same, or stop them for a minute.";
    assert_eq!(second.line().as_deref(), Some(says));
    // One that names no lease takes theirs.
    let _third = Worker::start(&server.url(), &[]);
    let queue = Queue::open(&server.url(), "default").unwrap();
    until("the third serves, too", || {
        queue.stats().unwrap().workers.len() == 2
    });
    drop(first);
}

fn terminated() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[("PROCESSES", "1")]);
    let pool = pool(&server);
    let results = [(); 3].map(|()| pool.apply_async(nap, (60_000,)));
    until("all are there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 3
    });
    pool.terminate();
    for result in results {
        assert_eq!(result.get(), Err(TaskError::Terminated));
    }
    until("they are gone", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 0
    });
}

fn expiry() {
    let server = Server::start();
    let file = server.file("effects");
    let hasty = builder(&server.url())
        .expires(Duration::from_millis(50))
        .start()
        .unwrap();
    let late = hasty.apply_async(effect, (file.clone(), 1));
    until("it is there", || {
        server.number(&["XLEN", "mp:{default}:tasks"]) == 1
    });
    sleep(Duration::from_millis(100));
    let _worker = Worker::start(&server.url(), &[]);
    assert_eq!(late.get(), Err(TaskError::Expired));
    let patient = builder(&server.url()).expires(HANG).start().unwrap();
    assert_eq!(patient.apply(effect, (file.clone(), 2)), Ok(2));
    assert_eq!(effects(&file).len(), 1);
}

fn capacity() {
    let server = Server::start();
    let pool = builder(&server.url()).capacity(10).start().unwrap();
    let submitted = std::sync::atomic::AtomicU64::new(0);
    let so_far = || submitted.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        let (pool, submitted) = (&pool, &submitted);
        let producer = scope.spawn(move || {
            let results: Vec<_> = (0..5000)
                .map(|number| {
                    submitted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    pool.apply_async(square, (number,))
                })
                .collect();
            results
                .into_iter()
                .map(|result| result.get().unwrap())
                .sum::<u64>()
        });
        until("the producer is held", || {
            let before = so_far();
            sleep(Duration::from_millis(200));
            before > 10 && so_far() == before
        });
        assert!(so_far() < 1500, "{} were taken", so_far());
        assert_eq!(server.number(&["XLEN", "mp:{default}:tasks"]), 10);
        let _worker = Worker::start(&server.url(), &[]);
        let sum = producer.join().unwrap();
        assert_eq!(sum, (0..5000).map(|x| x * x).sum::<u64>());
    });
}

fn sigterm() {
    let server = Server::start();
    let options = [("LEASE", "30000"), ("GRACE", "0")];
    let mut first = Worker::start(&server.url(), &options);
    let pool = pool(&server);
    let file = server.file("effects");
    let result = pool.apply_async(slow_effect, (file.clone(), 1, 1500));
    until("it runs", || !effects(&file).is_empty());
    let _second = Worker::start(&server.url(), &options);
    first.signal(Signal::SIGTERM);
    assert!(first.wait().success());
    assert_eq!(first.line().as_deref(), Some("over"));
    let ended = Instant::now();
    until("it began again", || effects(&file).len() == 2);
    // This is far less than the lease.
    assert!(
        ended.elapsed() < Duration::from_secs(10),
        "{:?}",
        ended.elapsed()
    );
    assert_eq!(result.get(), Ok(1500));
}

fn grace() {
    let server = Server::start();
    let mut worker = Worker::start(&server.url(), &[("GRACE", "30000")]);
    let pool = pool(&server);
    let file = server.file("effects");
    let result = pool.apply_async(slow_effect, (file.clone(), 1, 500));
    until("it runs", || !effects(&file).is_empty());
    worker.signal(Signal::SIGTERM);
    assert_eq!(result.get(), Ok(500));
    assert!(worker.wait().success());
    assert_eq!(effects(&file).len(), 1);
}

fn second_signal() {
    let server = Server::start();
    let mut first = Worker::start(&server.url(), &[("GRACE", "300000")]);
    let pool = pool(&server);
    let file = server.file("effects");
    pool.apply_async(slow_effect, (file.clone(), 1, 60_000));
    until("it runs", || !effects(&file).is_empty());
    // Two different ones: the system keeps only one of each for a process.
    first.signal(Signal::SIGTERM);
    first.signal(Signal::SIGINT);
    assert!(first.wait().success());
    assert_eq!(first.line().as_deref(), Some("over"));
    let _second = Worker::start(&server.url(), &[]);
    until("it began again", || effects(&file).len() == 2);
}

fn idle() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[]);
    let pool = pool(&server);
    assert_eq!(pool.apply(square, (2,)), Ok(4));
    sleep(Duration::from_millis(2500));
    let commands = || {
        let info: String =
            redis::from_redis_value(server.ask(&["INFO", "commandstats"])).unwrap();
        // Commands inside scripts, and those of this test, do not count.
        let asked = [
            "cmdstat_evalsha:",
            "cmdstat_xreadgroup:",
            "cmdstat_xread:",
            "cmdstat_client|id:",
        ];
        let calls = info
            .lines()
            .filter(|line| asked.iter().any(|name| line.starts_with(name)));
        calls
            .map(|line| {
                let calls = line.split_once("calls=").unwrap().1;
                calls.split(',').next().unwrap().parse::<u64>().unwrap()
            })
            .sum::<u64>()
    };
    let before = commands();
    let start = Instant::now();
    sleep(Duration::from_secs(12));
    let asked = commands() - before;
    let seconds = start.elapsed().as_secs();
    assert!(asked <= seconds, "{asked} in {seconds} seconds");
    assert!(asked >= 5, "{asked} in {seconds} seconds: it does not live");
}

fn long_tasks() {
    let server = Server::start();
    let _workers =
        [(); 2].map(|()| Worker::start(&server.url(), &[("LEASE", "2000")]));
    let pool = pool(&server);
    let file = server.file("effects");
    let results =
        [1, 2, 3].map(|n| pool.apply_async(slow_effect, (file.clone(), n, 6000)));
    sleep(Duration::from_secs(4));
    // Renewing a lease is not a delivery.
    let queue = Queue::open(&server.url(), "default").unwrap();
    let running = queue.stats().unwrap().running;
    assert!(
        running.iter().all(|task| task.deliveries == 1),
        "{running:?}"
    );
    for result in results {
        assert_eq!(result.get(), Ok(6000));
    }
    assert_eq!(
        effects(&file).len(),
        3,
        "each ran once: {:?}",
        effects(&file)
    );
}

fn stats() {
    let server = Server::start();
    let worker =
        Worker::start(&server.url(), &[("PROCESSES", "1"), ("LEASE", "1000")]);
    let pool = pool(&server);
    assert_eq!(pool.apply(square, (2,)), Ok(4));
    assert!(pool.apply(divide, (2, 0)).is_err());
    let file = server.file("effects");
    let running = pool.apply_async(slow_effect, (file.clone(), 1, 60_000));
    until("it runs", || !effects(&file).is_empty());
    let waiting = pool.apply_async(square, (3,));
    let queue = Queue::open(&server.url(), "default").unwrap();
    until("its worker has reported it", || {
        queue
            .stats()
            .unwrap()
            .running
            .first()
            .is_some_and(|task| task.running_for.is_some())
    });
    let stats = queue.stats().unwrap();
    assert_eq!(
        (stats.waiting, stats.held, stats.done, stats.failed),
        (1, 1, 1, 1)
    );
    assert_eq!(stats.running[0].task, "slow_effect");
    assert_eq!(Some(&stats.running[0].id), running.id().as_ref());
    let [agent] = stats.workers.as_slice() else {
        panic!("{stats:?}");
    };
    assert_eq!(agent.pid.cast_signed(), worker.pid().as_raw());
    assert_eq!(stats.running[0].worker, agent.name);
    assert_eq!(stats.running[0].host.as_ref(), Some(&agent.host));
    let pid = effects(&file)[0].split_once(' ').unwrap().1.parse();
    assert_eq!(stats.running[0].pid, pid.ok());
    assert!(running.cancel());
    assert_eq!(waiting.get(), Ok(9));
}

fn nothing_left() {
    let server = Server::start();
    let mut worker = Worker::start(&server.url(), &[]);
    let pool = pool(&server);
    assert_eq!(pool.map(square, 0..1000).unwrap().len(), 1000);
    drop(pool);
    worker.signal(Signal::SIGTERM);
    worker.wait();
    let keys: Vec<String> =
        redis::from_redis_value(server.ask(&["KEYS", "*"])).unwrap();
    let left: Vec<_> = keys
        .into_iter()
        .filter(|key| {
            !["tasks", "counts", "lease"]
                .iter()
                .any(|name| key.ends_with(name))
        })
        .collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(server.number(&["XLEN", "mp:{default}:tasks"]), 0);
}

fn closing() {
    let server = Server::start();
    let _worker = Worker::start(&server.url(), &[]);
    let pool = pool(&server);
    let results: Vec<_> = (0..20).map(|_| pool.apply_async(nap, (20,))).collect();
    assert!(pool.join().is_err(), "it is still open");
    pool.close();
    assert_eq!(pool.apply(square, (1,)), Err(TaskError::Closed));
    pool.join().unwrap();
    assert!(results.into_iter().all(|result| result.get() == Ok(20)));
    // A pool that is dropped leaves its tasks with the broker.
    let file = server.file("effects");
    let left = crate::pool(&server);
    left.apply_async(effect, (file.clone(), 1));
    drop(left);
    until("it ran all the same", || effects(&file).len() == 1);
}
