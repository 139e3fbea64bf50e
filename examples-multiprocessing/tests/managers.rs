//! Managers, as a program uses them and as a stranger abuses them; and T21.

#[path = "../../examples-threading/tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use examples_multiprocessing::managers::{
    Address, BaseManager, Exception, LockProxy, ManagerError, Methods, Proxy,
    SyncManager, Value,
};
use examples_threading::Queue;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::{listing, sorted};

/// Far beyond what anything here takes, so that only a hang meets it.
const HANG: Duration = Duration::from_secs(20);

// The listings.

#[test]
fn manager_shares_a_dict_and_a_list_with_ten_processes() {
    let lines = listing!("manager").run().success();
    let list =
        |ones: usize| format!("{:?}", [vec![0, 1, 2, 3, 4], vec![1; ones]].concat());
    // Each process finds its own one at least.
    let lists: Vec<_> = (1..=10).map(list).collect();
    for line in &lines[..10] {
        assert!(lists.contains(line), "{line}");
    }
    assert_eq!(lines[10..], ["{1: 1, 2: 2, 0.25: None}".into(), list(10)]);
}

#[test]
fn task_worker_tells_an_absent_server_a_wrong_key_and_an_empty_queue_apart() {
    let absent = listing!("task_worker").arg("127.0.0.1:1").run();
    assert_eq!(absent.status.code(), Some(1));
    assert_eq!(absent.lines, ["Connect to server 127.0.0.1:1..."]);
    assert_eq!(
        absent.errors[0],
        "Error: Nobody answers at 127.0.0.1:1 (Connection refused (os error 111)): \
         start the server first."
    );

    let served = Served::start(BaseManager::new(("127.0.0.1", 0), b"cba"));
    let address = served.address.to_string();
    let wrong_key = listing!("task_worker").arg(&address).run();
    assert_eq!(wrong_key.status.code(), Some(1));
    assert_eq!(
        wrong_key.errors[0],
        format!(
            "Error: The server at {address} has another authkey: give both sides the \
             same."
        )
    );

    let mut manager = BaseManager::new(("127.0.0.1", 0), b"abc");
    for queue in ["get_task_queue", "get_result_queue"] {
        manager.register(queue, || Arc::new(Queue::<Value>::new(0)));
    }
    let served = Served::start(manager);
    let address = served.address.to_string();
    let empty = listing!("task_worker")
        .arg(address)
        .tempo(50)
        .run()
        .success();
    assert_eq!(empty[1..11], ["task queue is empty"; 10]);
    assert_eq!(empty[11..], ["worker exit"]);
}

#[test]
fn a_wrong_argument_and_a_taken_port_are_one_plain_sentence() {
    let wrong = listing!("task_master").arg("here").run();
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(
        wrong.errors[0],
        "Error: here is no address: write host:port or the path of a socket."
    );
    let served = Served::start(BaseManager::new(("127.0.0.1", 0), b"abc"));
    let taken = listing!("task_master")
        .arg(served.address.to_string())
        .run();
    let sentence = &taken.errors[0];
    assert!(sentence.contains("cannot be listened to"), "{sentence}");
}

// Programs.

/// A server in a thread of this process, which ends with this value.
struct Served {
    address: Address,
    key: &'static [u8],
    thread: Option<thread::JoinHandle<()>>,
}

impl Served {
    fn start(manager: BaseManager) -> Self {
        Self::of(manager.get_server().unwrap(), b"abc")
    }

    fn of(
        server: examples_multiprocessing::managers::Server,
        key: &'static [u8],
    ) -> Self {
        let address = server.address().clone();
        let thread = Some(thread::spawn(move || server.serve_forever()));
        Self {
            address,
            key,
            thread,
        }
    }

    fn sync() -> Self {
        let manager = SyncManager::new(("127.0.0.1", 0), b"abc");
        Self::of(manager.get_server().unwrap(), b"abc")
    }

    fn client(&self) -> SyncManager {
        let mut manager = SyncManager::new(&self.address, self.key);
        manager.connect().unwrap();
        manager
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let mut manager = BaseManager::new(&self.address, self.key);
        if manager.connect().is_err() {
            // A server with another key lives as long as the tests.
            return;
        }
        manager.shutdown().unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn gets_there(mut what: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < HANG {
        if what() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn ones_own_types_have_methods_and_raise_and_panic() {
    let mut manager = BaseManager::new(("127.0.0.1", 0), b"abc");
    manager.register_with("Counter", |args| {
        let (start,) = args.parse("Counter")?;
        Ok(Arc::new(
            Methods::new(AtomicI64::new(start))
                .method("add", |counter, (n,): (i64,)| {
                    Ok(counter.fetch_add(n, Ordering::Relaxed) + n)
                })
                .method("fail", |_, ()| {
                    Err::<(), _>(Exception::value_error("as asked"))
                })
                .method("panic", |_, ()| -> Result<(), _> { panic!("on purpose") }),
        ))
    });
    let served = Served::start(manager);
    let manager = served.client();
    let counter: Proxy = manager.create("Counter", (40,)).unwrap();
    assert_eq!(counter.call::<i64>("add", (2,)).unwrap(), 42);
    assert_eq!(counter.methods(), ["add", "fail", "panic"]);
    for (method, told) in [
        ("fail", "The managed object raised ValueError: as asked."),
        (
            "panic",
            "The managed object raised RuntimeError: on purpose.",
        ),
    ] {
        let raised = counter.call::<()>(method, ()).unwrap_err();
        assert_eq!(raised.to_string(), told);
    }
    let told = counter
        .call::<i64>("add", ("two",))
        .unwrap_err()
        .to_string();
    assert!(told.contains("TypeError"), "{told}");
    assert_eq!(counter.call::<i64>("add", (0,)).unwrap(), 42);
    let refused = manager.create::<Proxy>("Counter", ("x",)).unwrap_err();
    assert!(matches!(refused, ManagerError::Refused(_)), "{refused:?}");
}

#[test]
fn an_object_lives_as_long_as_somebody_has_a_proxy_of_it() {
    let served = Served::sync();
    let manager = served.client();
    let list = manager.list([1]).unwrap();
    let copy = list.clone();
    let dict = manager.dict([("list", &list)]).unwrap();
    assert_eq!(manager.number_of_objects().unwrap(), 2);
    drop(list);
    assert_eq!(manager.number_of_objects().unwrap(), 2);
    drop(copy);
    assert_eq!(manager.number_of_objects().unwrap(), 1);

    // The dict still holds the list.
    let Value::Proxy(found) = dict.get("list").unwrap() else {
        panic!("a list in a dict is a proxy")
    };
    let list: examples_multiprocessing::managers::ListProxy =
        manager.proxy((*found).clone()).unwrap();
    list.append(2).unwrap();
    assert_eq!(format!("{:?}", list.value().unwrap()), "[1, 2]");
    assert_eq!(manager.number_of_objects().unwrap(), 2);
    drop((list, dict));
    assert_eq!(manager.number_of_objects().unwrap(), 0);
    let gone = manager.proxy::<Proxy>(*found).unwrap_err();
    assert!(matches!(gone, ManagerError::Refused(_)), "{gone:?}");
}

#[test]
fn a_name_is_never_used_twice() {
    let served = Served::sync();
    let manager = served.client();
    let names: Vec<_> = (0..300)
        .map(|_| format!("{:?}", manager.event().unwrap()))
        .collect();
    let all = names.len();
    let mut names = sorted(names);
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn a_lock_is_free_once_the_thread_that_holds_it_has_ended() {
    let served = Served::sync();
    let manager = served.client();
    for lock in [manager.lock().unwrap(), manager.rlock().unwrap()] {
        thread::scope(|s| {
            s.spawn(|| lock.acquire().unwrap());
        });
        assert!(lock.acquire_timeout(HANG).unwrap());
    }
}

#[test]
fn a_semaphore_of_events_gives_no_permits_back() {
    let served = Served::sync();
    let manager = served.client();
    let events = manager.semaphore(0).unwrap();
    thread::scope(|s| {
        s.spawn(|| events.acquire().unwrap());
        events.release().unwrap();
    });
    // The thread took the one event there was, and has ended.
    assert!(!events.acquire_timeout(Duration::from_millis(300)).unwrap());
}

#[test]
fn a_manager_says_what_is_missing() {
    let manager = BaseManager::new(("127.0.0.1", 0), b"abc");
    let early = manager.create::<Proxy>("Queue", ()).unwrap_err();
    assert!(matches!(early, ManagerError::NotConnected));
    let served = Served::sync();
    let mut manager = served.client();
    let again = manager.connect().unwrap_err();
    assert!(matches!(again, ManagerError::AlreadyConnected));
    let q = manager.queue(0).unwrap();
    q.put("text").unwrap();
    assert_eq!(
        q.get::<i64>().unwrap_err().to_string(),
        r#"The answer is "text", which is no i64."#
    );
    let threads = SyncManager::new(Address::any(), b"abc")
        .start()
        .unwrap_err();
    assert!(matches!(threads, ManagerError::Process(_)), "{threads:?}");
    assert!(threads.to_string().contains("threads"), "{threads}");
}

// Strangers.

fn dial(address: &Address) -> TcpStream {
    let stream = TcpStream::connect(address.to_string()).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream
}

/// What the server still says until it closes the connection.
fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A connection that is reset has said all it had to say.
    let _reset = stream.read_to_end(&mut rest);
    rest
}

#[test]
fn a_stranger_learns_only_that_it_was_refused() {
    let served = Served::sync();
    let huge = b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0".as_slice();
    let long = b"\0\0\x01\x01".as_slice();
    let request = b"\0\0\0\x0f\x80\x04(N\x8c\x05dummy)}t.".as_slice();
    for hostile in [
        huge,
        long,
        request,
        b"GET / HTTP/1.0\r\n\r\n",
        b"\xff\xff\xff\xfb",
    ] {
        let mut stream = dial(&served.address);
        let mut challenge = [0; 4 + 59];
        stream.read_exact(&mut challenge).unwrap();
        assert_eq!(&challenge[4..23], b"#CHALLENGE#{sha256}");
        stream.write_all(hostile).unwrap();
        let told = rest(&stream);
        let refused = b"\0\0\0\x09#FAILURE#";
        assert!(told.is_empty() || told == refused, "{told:?}");
    }
    // Half a handshake, in the middle of a message.
    let mut stream = dial(&served.address);
    stream.write_all(b"\0\0\0\x28{sha256}").unwrap();
    drop(stream);
    served.client().list([0]).unwrap();
}

#[test]
fn who_knows_the_key_can_break_only_its_own_connection() {
    let served = Served::sync();
    let manager = served.client();
    let list = manager.list([0]).unwrap();
    let q = manager.queue(0).unwrap();
    // As deep as cannot be read: the server says so, and goes on.
    let nested = (0..200).fold(Value::None, |value, _| Value::List(vec![value]));
    list.append(nested.clone()).unwrap();
    let too_deep = (0..54).fold(nested, |value, _| Value::List(vec![value]));
    let refused = q.put(too_deep).unwrap_err();
    assert!(matches!(refused, ManagerError::Refused(_)), "{refused:?}");
    let unknown = Exception::new("os", "system", Vec::new());
    let refused = q.put(Value::Exception(Box::new(unknown))).unwrap_err();
    assert!(refused.to_string().contains("os.system"), "{refused}");
    // More than is accepted in one message.
    let much = Value::Bytes(vec![0; (1 << 26) + 1]);
    let cut = q.put(much).unwrap_err();
    assert!(matches!(cut, ManagerError::Lost { .. }), "{cut:?}");
    q.put("still there").unwrap();
    assert_eq!(q.get::<String>().unwrap(), "still there");
    let multiplied = list.call::<()>("__imul__", (1_i64 << 40,)).unwrap_err();
    assert!(
        multiplied.to_string().contains("MemoryError"),
        "{multiplied}"
    );
}

/// What this process has in memory, in KiB.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn ten_thousand_silent_connections_keep_nobody_out() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let count = 10_000.min(hard.saturating_sub(500));
    if count < 10_000 {
        println!("ONLY {count} CONNECTIONS: the limit of descriptors is {hard}.");
    }
    let served = Served::sync();
    let lock: LockProxy = served.client().lock().unwrap();
    let (memory_before, threads_before) = (memory(), threads());
    let silent: Vec<_> = (0..count).map(|_| dial(&served.address)).collect();
    // One more, with the key.
    served.client().list([0]).unwrap();
    assert!(lock.try_acquire().unwrap());
    let more_memory = memory().saturating_sub(memory_before);
    assert!(more_memory < 64 * 1024, "{more_memory} KiB more");
    // Other tests have threads of their own.
    let more_threads = threads().saturating_sub(threads_before);
    assert!(more_threads < 300, "{more_threads} threads more");
    // The oldest were turned away without a word beyond the challenge.
    let told = rest(&silent[0]);
    assert!(told.len() <= 4 + 59, "{told:?}");
    drop(silent);
    assert!(gets_there(|| threads() < threads_before + 100));
}
