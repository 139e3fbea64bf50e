//! Proxies as values: arguments of tasks and processes, items of queues, messages of
//! pipes, by fork and by spawn.
//!
//! A process that forks must have one thread, and a test has several. So this program
//! runs each test in a copy of itself, which finds the test's name in `SUBJECT` and the
//! start method in `METHOD`.

use std::env;
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use multiprocessing::managers::{
    Address, ListProxy, QueueProxy, SyncManager, manager,
};
use multiprocessing::{
    Connection, Pool, Process, Queue, StartMethod, TaskError, freeze_support, pipe,
    set_authkey,
};
use nix::unistd::alarm;
use tutorial::harness::{Listing, named};

const CLAIMS: &[(&str, fn())] = named![
    a_proxy_is_an_argument_and_a_result_of_a_pools_task,
    a_plain_queue_is_not_an_argument_of_a_pools_task,
    a_proxy_is_an_item_of_a_queue,
    a_proxy_is_a_message_of_a_pipe,
    a_proxy_is_the_argument_of_a_process,
    a_task_says_that_the_manager_has_another_key,
];

fn main() {
    let subject = env::var("SUBJECT").unwrap_or_default();
    if let Some((_, run)) = CLAIMS.iter().find(|(name, _)| *name == subject) {
        // A hang ends by SIGALRM.
        alarm::set(60);
        freeze_support();
        return run();
    }
    let this = env::current_exe().unwrap();
    let mut trials = Vec::new();
    for method in ["fork", "spawn"] {
        for (name, _) in CLAIMS {
            let program = Listing::new(this.to_str().unwrap())
                .env("SUBJECT", name)
                .env("METHOD", method);
            trials.push(Trial::test(format!("{name}_by_{method}"), move || {
                program.run().success();
                Ok(())
            }));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn forks() -> bool {
    env::var("METHOD").unwrap() == "fork"
}

fn pool() -> Pool {
    let method = if forks() {
        StartMethod::Fork
    } else {
        StartMethod::Spawn
    };
    let builder = Pool::builder().start_method(method);
    builder.processes(2).start().unwrap()
}

fn shown(list: &ListProxy) -> String {
    format!("{:?}", list.value().unwrap())
}

/// Waits until all but this number of objects have been given back.
#[track_caller]
fn objects_become(manager: &SyncManager, number: usize) {
    let start = Instant::now();
    while manager.number_of_objects().unwrap() != number {
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(20), "something is kept");
        sleep(Duration::from_millis(1));
    }
}

fn a_proxy_is_an_argument_and_a_result_of_a_pools_task() {
    fn append(list: ListProxy, n: i64) -> ListProxy {
        list.append(n).unwrap();
        list
    }
    let manager = manager().unwrap();
    let pool = pool();
    // Made after the workers, which so cannot have inherited it.
    let list = manager.list([0]).unwrap();
    for n in 1..=3 {
        let same = pool.apply(append, (list.clone(), n)).unwrap();
        assert_eq!(same.len().unwrap(), usize::try_from(n).unwrap() + 1);
    }
    assert_eq!(shown(&list), "[0, 1, 2, 3]");
    let lists = (4..8).map(|n| (list.clone(), n));
    pool.starmap(append, lists).unwrap();
    assert_eq!(list.len().unwrap(), 8);
    drop(list);
    objects_become(&manager, 0);
}

fn a_plain_queue_is_not_an_argument_of_a_pools_task() {
    let put = |queue: Queue<i64>| queue.put(1).unwrap();
    let refused = pool().apply(put, (Queue::new(0).unwrap(),)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the task's argument is refused: the value cannot be encoded: a lock, queue or \
         pipe can only be sent in the argument of a process that is being spawned or of a \
         pool's initializer, not in a message, a task or a file"
    );
}

fn a_proxy_is_an_item_of_a_queue() {
    fn work((queue, done): (Queue<ListProxy>, Queue<()>)) {
        queue.get().unwrap().append("from the child").unwrap();
        done.put(()).unwrap();
    }
    let manager = manager().unwrap();
    let queues = (Queue::new(0).unwrap(), Queue::new(0).unwrap());
    let (queue, done) = queues.clone();
    let mut child = if forks() {
        Process::new(move || work(queues.clone()))
    } else {
        Process::spawned(work, queues)
    };
    child.start().unwrap();
    let list = manager.list(["from the parent"]).unwrap();
    queue.put(list.clone()).unwrap();
    done.get().unwrap();
    child.join().unwrap();
    assert_eq!(child.exitcode(), Some(0));
    assert_eq!(shown(&list), r#"["from the parent", "from the child"]"#);
    drop(list);
    objects_become(&manager, 0);
}

fn a_proxy_is_a_message_of_a_pipe() {
    fn work(end: Connection) {
        let queue: QueueProxy = end.recv().unwrap();
        queue.put("from the child").unwrap();
        end.send(&queue).unwrap();
        // The child's own, until the parent has received it.
        end.recv::<()>().unwrap();
    }
    let manager = manager().unwrap();
    let (here, there) = pipe(true).unwrap();
    let mut child = if forks() {
        let mut there = Some(there);
        Process::new(move || work(there.take().unwrap()))
    } else {
        Process::spawned(work, there)
    };
    child.start().unwrap();
    let queue = manager.queue(0).unwrap();
    here.send(&queue).unwrap();
    let same: QueueProxy = here.recv().unwrap();
    here.send(&()).unwrap();
    assert_eq!(same.get::<String>().unwrap(), "from the child");
    child.join().unwrap();
    assert_eq!(child.exitcode(), Some(0));
    drop((queue, same));
    objects_become(&manager, 0);
}

fn a_proxy_is_the_argument_of_a_process() {
    fn work((list, n): (ListProxy, i64)) {
        list.append(n).unwrap();
    }
    let manager = manager().unwrap();
    let list = manager.list([1]).unwrap();
    let argument = (list.clone(), 2);
    let mut child = if forks() {
        Process::new(move || work(argument.clone()))
    } else {
        Process::spawned(work, argument)
    };
    child.start().unwrap();
    child.join().unwrap();
    assert_eq!(child.exitcode(), Some(0));
    assert_eq!(shown(&list), "[1, 2]");
    drop((child, list));
    objects_become(&manager, 0);
}

fn a_task_says_that_the_manager_has_another_key() {
    fn length(list: ListProxy) -> usize {
        list.len().unwrap()
    }
    let mut manager = SyncManager::new(Address::any(), b"abc");
    manager.start().unwrap();
    let list = manager.list([1]).unwrap();
    let refused = pool().apply(length, (list.clone(),)).unwrap_err();
    let TaskError::Argument(sentence) = refused else {
        panic!("{refused:?}")
    };
    let address = manager.address();
    assert!(
        sentence.ends_with(&format!(
            "the manager at {address} has another authkey than this process: call \
             set_authkey with the manager's key before its proxies arrive"
        )),
        "{sentence}"
    );
    set_authkey(b"abc");
    // Its workers have the key from here.
    assert_eq!(pool().apply(length, (list.clone(),)), Ok(1));
}
