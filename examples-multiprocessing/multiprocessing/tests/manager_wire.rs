//! The managers' wire: recorded sessions of Python, Python itself if it is installed, and
//! hostile bytes.

use std::collections::VecDeque;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use multiprocessing::managers::{
    Address, BaseManager, Digests, Exception, ManagerError, PickleError, Proxy,
    QueueProxy, Shared, SyncManager, Value,
};
use nix::unistd::Pid;
use proptest::prelude::*;
use queue::Queue;
use sha2::Sha256;
use tutorial::harness::{Watchdog, pythons, script, unique};

const KEY: &[u8] = b"abracadabra";

/// The folder of the scripts.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");

// Recorded sessions.

/// The sender of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

/// The messages of every connection of a recorded session.
fn recorded(version: &str) -> Vec<Vec<(Side, Vec<u8>)>> {
    let text = match version {
        "3.11" => include_str!("wire/python-3.11.txt"),
        _ => include_str!("wire/python-3.13.txt"),
    };
    text.split("\n\n")
        .map(|connection| connection.lines().filter_map(message).collect::<Vec<_>>())
        .filter(|connection| !connection.is_empty())
        .collect()
}

fn message(line: &str) -> Option<(Side, Vec<u8>)> {
    let mut words = line.split(' ');
    let side = match words.next()? {
        "S>C" => Side::Server,
        "C>S" => Side::Client,
        _ => return None,
    };
    let (header, body) = (bytes(words.next()?), bytes(words.next()?));
    let length = u32::from_be_bytes(header.try_into().unwrap());
    assert_eq!(length as usize, body.len(), "{line}");
    Some((side, body))
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn send(mut stream: &TcpStream, body: &[u8]) {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, body].concat()).unwrap();
}

fn receive(mut stream: &TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// What Python of this version answers to a challenge of ours.
fn python_answers(version: &str, challenge: &[u8]) -> Vec<u8> {
    let challenge = challenge.strip_prefix(b"#CHALLENGE#").unwrap();
    if version == "3.11" {
        let mac = Hmac::<Md5>::new_from_slice(KEY).unwrap();
        mac.chain_update(challenge).finalize().into_bytes().to_vec()
    } else {
        let mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        let mac = mac.chain_update(challenge).finalize().into_bytes();
        [b"{sha256}", mac.as_slice()].concat()
    }
}

/// Far more than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(20);

/// Plays Python's server of a recorded session to one connection. The challenge is the
/// recorded one, so the answer must be it too; a request must be one of those recorded.
fn play_server(version: &str, stream: &TcpStream) {
    let session = recorded(version);
    let handshake = &session[0];
    send(stream, &handshake[0].1);
    assert_eq!(receive(stream).unwrap(), handshake[1].1, "{version}");
    send(stream, b"#WELCOME#");
    let challenge = receive(stream).unwrap();
    send(stream, &python_answers(version, &challenge));
    assert_eq!(receive(stream).unwrap(), b"#WELCOME#");

    while let Some(request) = receive(stream) {
        let request = Value::loads(&request).unwrap();
        let replies = replies_to(&session, &request);
        assert!(!replies.is_empty(), "{version} never got {request:?}");
        for reply in replies {
            send(stream, &reply);
        }
        let own_function = format!("{request:?}").starts_with("(None,");
        if own_function && !format!("{request:?}").contains("accept_connection") {
            break;
        }
    }
}

fn replies_to(session: &[Vec<(Side, Vec<u8>)>], request: &Value) -> Vec<Vec<u8>> {
    for connection in session {
        // After the handshake.
        let mut messages: VecDeque<_> = connection.iter().skip(6).collect();
        while let Some((side, body)) = messages.pop_front() {
            if *side == Side::Client && Value::loads(body).unwrap() == *request {
                let replies = messages.iter().map(|(side, body)| (side, body));
                return replies
                    .take_while(|(side, _)| **side == Side::Server)
                    .map(|(_, body)| body.clone())
                    .collect();
            }
        }
    }
    Vec::new()
}

#[test]
fn our_client_sends_what_pythons_sent_in_a_recorded_session() {
    let _watchdog = Watchdog::start();
    for version in ["3.11", "3.13"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let mut connections = Vec::new();
            // Connect, create, calls, drop, shutdown.
            for _ in 0..5 {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(HANG)).unwrap();
                connections
                    .push(thread::spawn(move || play_server(version, &stream)));
            }
            for connection in connections {
                connection.join().unwrap();
            }
        });

        // In a thread without a name, which would go to the server with the process's.
        let client = thread::spawn(move || {
            let mut manager = BaseManager::new(("127.0.0.1", port), KEY);
            manager.connect().unwrap();
            let queue: QueueProxy = manager.create("get_task_queue", ()).unwrap();
            assert_eq!(
                queue.proxy().methods().contains(&"shutdown".into()),
                version == "3.13"
            );
            queue.put("hello").unwrap();
            assert_eq!(queue.get::<String>().unwrap(), "hello");
            let empty = queue.get_nowait::<String>();
            assert!(matches!(empty, Err(ManagerError::Empty)), "{empty:?}");
            drop(queue);
            manager.shutdown().unwrap();
            drop(manager);
        });
        client.join().unwrap();
        server.join().unwrap();
    }
}

/// A server of ours in a thread, with a queue of the recorded name among its types.
fn our_server(key: &[u8], digests: Digests) -> Address {
    let mut manager = SyncManager::new(("127.0.0.1", 0), key).digests(digests);
    manager.register("get_task_queue", || {
        std::sync::Arc::new(Queue::<Value>::new(0))
    });
    let server = manager.get_server().unwrap();
    let address = server.address().clone();
    thread::spawn(move || server.serve_forever());
    address
}

fn stop(address: &Address, key: &[u8]) {
    let mut manager = BaseManager::new(address, key);
    manager.connect().unwrap();
    manager.shutdown().unwrap();
}

fn dial(address: &Address) -> TcpStream {
    let stream = TcpStream::connect(address.to_string()).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream
}

/// Authenticates as Python of this version does.
fn dial_as_python(version: &str, address: &Address) -> TcpStream {
    let stream = dial(address);
    let challenge = receive(&stream).unwrap();
    send(&stream, &python_answers(version, &challenge));
    assert_eq!(receive(&stream).unwrap(), b"#WELCOME#");
    let own = &recorded(version)[0][3].1;
    send(&stream, own);
    assert_eq!(receive(&stream).unwrap(), python_answers(version, own));
    send(&stream, b"#WELCOME#");
    stream
}

/// The recorded request with our name for the object instead of Python's.
fn renamed(request: &[u8], from: &str, to: &str) -> Vec<u8> {
    fn named(name: &str) -> Vec<u8> {
        [&[0x8c, name.len() as u8], name.as_bytes()].concat()
    }
    let from = named(from);
    let place = request.windows(from.len()).position(|part| part == from);
    let Some(place) = place else {
        return request.to_vec();
    };
    let (before, after) = (&request[..place], &request[place + from.len()..]);
    let mut request = [before, &named(to), after].concat();
    let length = (request.len() - 11) as u64;
    request[3..11].copy_from_slice(&length.to_le_bytes());
    request
}

fn ident_in(reply: &[u8]) -> String {
    let Value::Tuple(reply) = Value::loads(reply).unwrap() else {
        panic!("a reply is a pair");
    };
    match &reply[1] {
        Value::Tuple(parts) => match &parts[0] {
            Value::Str(ident) => ident.to_string(),
            other => panic!("no ident: {other:?}"),
        },
        other => panic!("nothing was created: {other:?}"),
    }
}

#[test]
fn our_server_answers_a_recorded_session_as_pythons_did() {
    let _watchdog = Watchdog::start();
    for version in ["3.11", "3.13"] {
        let address = our_server(KEY, Digests::All);
        let session = recorded(version);
        let pythons = ident_in(&session[1].last().unwrap().1);
        let mut ours = String::new();
        let mut calls = None;
        for connection in session {
            let stream = dial_as_python(version, &address);
            for (side, body) in &connection[6..] {
                if *side == Side::Client {
                    send(&stream, &renamed(body, &pythons, &ours));
                    continue;
                }
                // Python's server says goodbye twice, ours once.
                let Some(reply) = receive(&stream) else { break };
                if ours.is_empty() && connection.len() == 8 && body.len() > 100 {
                    ours = ident_in(&reply);
                }
                let (recorded, reply) =
                    (Value::loads(body).unwrap(), Value::loads(&reply).unwrap());
                if format!("{recorded:?}").contains("get_nowait") {
                    // The names of the methods: ours are those of the newest Python.
                    assert!(format!("{reply:?}").contains("task_done"), "{reply:?}");
                } else {
                    assert_eq!(reply, recorded, "{version}");
                }
            }
            // The connection of the calls outlives those after it.
            calls = calls.or((connection.len() > 10).then_some(stream));
        }
    }
}

#[test]
fn a_request_of_more_than_64_mib_ends_its_connection() {
    let _watchdog = Watchdog::start();
    let address = our_server(KEY, Digests::All);
    let stream = dial_as_python("3.13", &address);
    (&stream)
        .write_all(&(1_u32 << 26 | 1).to_be_bytes())
        .unwrap();
    assert_eq!(receive(&stream), None);
    stop(&address, KEY);
}

/// A request as Python sends it: `(target, method, args, {})`.
fn request(target: Option<&str>, method: &str, args: Vec<Value>) -> Vec<u8> {
    let target = target.map_or(Value::None, Value::from);
    let parts = vec![
        target,
        method.into(),
        Value::Tuple(args.into()),
        Value::Dict(Vec::new().into()),
    ];
    Value::Tuple(parts.into()).dumps().unwrap()
}

#[test]
fn an_item_that_its_client_does_not_receive_is_put_back() {
    let _watchdog = Watchdog::start();
    let address = our_server(KEY, Digests::All);
    let mut manager = SyncManager::new(&address, KEY);
    manager.connect().unwrap();
    let queue = manager.queue(0).unwrap();
    // Longer than sockets hold, so that sending it waits for the client.
    queue.put(Value::Bytes(vec![7; 40_000_000].into())).unwrap();
    let Value::Proxy(found) = Value::from(queue.proxy()) else {
        panic!("a proxy is sent as one")
    };
    let stream = dial_as_python("3.13", &address);
    send(
        &stream,
        &request(None, "accept_connection", vec!["x".into()]),
    );
    assert!(receive(&stream).is_some());
    send(
        &stream,
        &request(Some(&found.token.ident), "get", Vec::new()),
    );
    let start = Instant::now();
    while queue.qsize().unwrap() > 0 {
        assert!(start.elapsed() < HANG, "the item is not taken");
        thread::sleep(Duration::from_millis(1));
    }
    drop(stream);
    let item = queue.get_timeout::<Value>(HANG).unwrap();
    assert!(matches!(item, Value::Bytes(bytes) if bytes.len() == 40_000_000));
    drop((queue, found));
    stop(&address, KEY);
}

#[test]
fn a_client_that_refuses_the_servers_proof_is_not_served() {
    let _watchdog = Watchdog::start();
    let address = our_server(KEY, Digests::All);
    let stream = dial(&address);
    let challenge = receive(&stream).unwrap();
    send(&stream, &python_answers("3.13", &challenge));
    assert_eq!(receive(&stream).unwrap(), b"#WELCOME#");
    send(&stream, &recorded("3.13")[0][3].1);
    assert!(receive(&stream).is_some());
    send(&stream, b"#FAILURE#");
    send(&stream, &request(None, "dummy", Vec::new()));
    assert_eq!(receive(&stream), None);
    stop(&address, KEY);
}

#[test]
fn md5_can_be_ruled_out_on_both_sides() {
    let _watchdog = Watchdog::start();
    let address = our_server(KEY, Digests::Modern);
    let stream = dial(&address);
    let challenge = receive(&stream).unwrap();
    send(&stream, &python_answers("3.11", &challenge));
    assert_eq!(receive(&stream).unwrap(), b"#FAILURE#");
    assert_eq!(receive(&stream), None);
    dial_as_python("3.13", &address);
    stop(&address, KEY);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let old_server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        send(&stream, &recorded("3.11")[0][0].1);
        assert_eq!(receive(&stream), None, "nothing is signed by MD5");
    });
    let manager = BaseManager::new(("127.0.0.1", port), KEY);
    let refused = manager.digests(Digests::Modern).connect();
    assert!(
        matches!(refused, Err(ManagerError::Protocol { .. })),
        "{refused:?}"
    );
    old_server.join().unwrap();
}

// Python itself.

#[test]
fn pythons_client_can_use_every_type_of_our_server() {
    for python in pythons() {
        let _watchdog = Watchdog::start();
        let tcp = SyncManager::new(("127.0.0.1", 0), b"abc")
            .get_server()
            .unwrap();
        let Address::Tcp { port, .. } = *tcp.address() else {
            panic!("it was bound to a port")
        };
        let tcp_address = tcp.address().clone();
        let path = env::temp_dir().join(unique("types"));
        let unix = SyncManager::new(path.as_path(), b"abc")
            .get_server()
            .unwrap();
        let unix_address = unix.address().clone();
        let servers =
            [tcp, unix].map(|server| thread::spawn(move || server.serve_forever()));
        for address in [port.to_string(), path.display().to_string()] {
            let client = script(&python, &Path::new(PYTHON).join("client.py"))
                .arg(address)
                .run();
            assert_eq!(client.success(), ["all as in Python"]);
        }
        stop(&tcp_address, b"abc");
        stop(&unix_address, b"abc");
        for server in servers {
            server.join().unwrap();
        }
        assert!(!path.exists());
        println!("every type by the client of {python}");
    }
}

/// Killed when the test is over.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn our_client_can_use_every_type_of_pythons_server() {
    for python in pythons() {
        let path = Path::new(PYTHON).join("server.py");
        let mut server = Command::new(&python)
            .arg(path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let stdout = server.stdout.take().unwrap();
        let server = Server(server);
        let _watchdog = Watchdog::over(Pid::from_raw(server.0.id().cast_signed()));
        BufReader::new(stdout).read_line(&mut port).unwrap();
        let address = Address::from(("127.0.0.1", port.trim().parse().unwrap()));
        uses_every_type(&address, b"abc").unwrap();

        let wrong_key = BaseManager::new(&address, b"abd").connect();
        assert!(matches!(wrong_key, Err(ManagerError::WrongKey { .. })));
        println!("every type of the server of {python}");
    }
}

#[test]
fn our_client_can_use_every_type_of_our_server() {
    let _watchdog = Watchdog::start();
    let address = our_server(b"abc", Digests::All);
    uses_every_type(&address, b"abc").unwrap();
    stop(&address, b"abc");
}

fn uses_every_type(address: &Address, key: &[u8]) -> Result<(), ManagerError> {
    let mut manager = SyncManager::new(address, key);
    manager.connect()?;
    let short = Duration::from_millis(5);

    let queue = manager.joinable_queue(1)?;
    queue.put(vec![Some(1), None])?;
    assert!(matches!(queue.put_nowait(2), Err(ManagerError::Full)));
    assert!(matches!(
        queue.put_timeout(2, short),
        Err(ManagerError::Full)
    ));
    assert!(queue.full()? && !queue.empty()? && queue.qsize()? == 1);
    assert_eq!(queue.get::<Vec<Option<u8>>>()?, [Some(1), None]);
    assert!(matches!(
        queue.get_timeout::<u8>(short),
        Err(ManagerError::Empty)
    ));
    queue.task_done()?;
    queue.join()?;
    let too_often = queue.task_done().unwrap_err();
    assert!(too_often.to_string().contains("ValueError"), "{too_often}");

    let list = manager.list(0..5)?;
    list.append("x")?;
    assert_eq!(list.get::<String>(-1)?, "x");
    assert_eq!(list.slice::<i64>(Some(1), Some(3))?, [1, 2]);
    assert_eq!(list.pop::<Value>()?, Value::from("x"));
    list.extend([9, 8])?;
    list.set(0, 7)?;
    list.delete(1)?;
    list.insert(0, 6)?;
    list.remove(9)?;
    list.sort()?;
    list.reverse()?;
    assert_eq!(format!("{:?}", list.value()?), "[8, 7, 6, 4, 3, 2]");
    assert_eq!((list.index(4)?, list.count(4)?, list.len()?), (3, 1, 6));
    assert!(list.contains(2)? && !list.is_empty()?);
    let beyond = list.get::<i64>(100).unwrap_err();
    assert!(beyond.to_string().contains("IndexError"), "{beyond}");

    let dict = manager.dict([("a", 1)])?;
    dict.set(2, 0.5)?;
    dict.update([("z", Value::None)])?;
    assert_eq!(
        format!("{:?}", dict.value()?),
        r#"{"a": 1, 2: 0.5, "z": None}"#
    );
    assert_eq!(dict.get::<Option<i64>>("none")?, None);
    assert_eq!(
        (dict.pop::<f64>(2)?, dict.setdefault::<i64>("n", 3)?),
        (0.5, 3)
    );
    assert_eq!(dict.keys::<String>()?, ["a", "z", "n"]);
    assert_eq!(dict.values::<Option<i64>>()?, [Some(1), None, Some(3)]);
    dict.delete("z")?;
    assert_eq!(
        dict.items::<String, i64>()?,
        [("a".into(), 1), ("n".into(), 3)]
    );
    let keys: Proxy = dict.proxy().call_proxy("__iter__", ())?;
    assert_eq!(keys.call::<String>("__next__", ())?, "a");
    assert_eq!(keys.call::<String>("__next__", ())?, "n");
    let end = keys.call::<String>("__next__", ());
    assert!(matches!(
        end,
        Err(ManagerError::Raised(end)) if end == Exception::stop_iteration()
    ));
    let missing = dict.delete("zz").unwrap_err();
    assert!(missing.to_string().contains("KeyError: 'zz'"), "{missing}");
    assert!(dict.contains("a")? && dict.len()? == 2);
    dict.clear()?;
    assert!(dict.is_empty()?);

    let ns = manager.namespace()?;
    ns.set("x", 10)?;
    assert_eq!(
        (ns.get::<u8>("x")?, ns.repr()?),
        (10, "Namespace(x=10)".into())
    );
    ns.delete("x")?;
    assert!(ns.get::<u8>("x").is_err());
    let value = manager.value('i', 5)?;
    value.set(6)?;
    assert_eq!(value.get::<i64>()?, 6);
    assert_eq!(value.repr()?, "Value('i', 6)");
    let array = manager.array('d', [1.0, 2.5])?;
    array.set(-1, 3.5)?;
    assert_eq!(
        (array.to_vec::<f64>()?, array.get::<f64>(1)?),
        (vec![1.0, 3.5], 3.5)
    );
    assert_eq!((array.len()?, array.is_empty()?), (2, false));
    assert_eq!(manager.array('h', [-2, 300])?.to_vec::<i16>()?, [-2, 300]);

    let lock = manager.lock()?;
    lock.acquire()?;
    assert!(!lock.try_acquire()? && !lock.acquire_timeout(short)?);
    lock.release()?;
    let unlocked = lock.release().unwrap_err();
    assert!(unlocked.to_string().contains("RuntimeError"), "{unlocked}");
    let rlock = manager.rlock()?;
    let (outer, inner) = (rlock.lock()?, rlock.lock()?);
    thread::scope(|s| {
        let other = s.spawn(|| rlock.try_acquire());
        assert!(!other.join().unwrap().unwrap());
    });
    drop((outer, inner));
    let rooms = manager.semaphore(2)?;
    let taken = (rooms.lock()?, rooms.lock()?);
    assert!(!rooms.try_acquire()?);
    drop(taken);
    assert!(rooms.try_acquire()?);
    rooms.release()?;
    assert!(manager.bounded_semaphore(1)?.release().is_err());

    let condition = manager.condition(None)?;
    let ready = manager.value('b', false)?;
    thread::scope(|s| {
        s.spawn(|| {
            let _held = condition.lock().unwrap();
            ready.set(true).unwrap();
            condition.notify().unwrap();
        });
        let _held = condition.lock().unwrap();
        condition.wait_for(|| ready.get()).unwrap();
    });
    {
        let _held = condition.lock()?;
        assert!(!condition.wait_timeout(short)?);
        assert!(!condition.wait_for_timeout(short, || Ok(false))?);
        condition.notify_all()?;
    }
    assert!(condition.notify().is_err());

    let event = manager.event()?;
    assert!(!event.wait_timeout(short)?);
    event.set()?;
    event.wait()?;
    assert!(event.is_set()?);
    event.clear()?;

    let barrier = manager.barrier(2)?;
    thread::scope(|s| {
        let other = s.spawn(|| barrier.wait());
        let mine = barrier.wait().unwrap();
        assert_eq!(mine + other.join().unwrap().unwrap(), 1);
    });
    assert_eq!((barrier.parties()?, barrier.broken()?), (2, false));
    assert!(barrier.wait_timeout(short).is_err() && barrier.broken()?);
    barrier.reset()?;
    assert_eq!(barrier.n_waiting()?, 0);
    barrier.abort()?;

    let inner = manager.dict([("x", 1)])?;
    let outer = manager.list([&inner])?;
    drop(inner);
    let Value::Proxy(found) = outer.get(0)? else {
        panic!("a dict in a list is a proxy")
    };
    let again =
        manager.proxy::<multiprocessing::managers::DictProxy>(found.into_inner())?;
    assert_eq!(again.get::<i64>("x")?, 1);

    let unknown = manager.create::<Proxy>("nothing", ()).unwrap_err();
    assert!(matches!(unknown, ManagerError::Refused(_)), "{unknown:?}");
    assert!(
        unknown.to_string().contains("KeyError: 'nothing'"),
        "{unknown}"
    );
    assert!(matches!(
        queue.proxy().call::<()>("explode", ()),
        Err(ManagerError::Refused(_))
    ));
    queue.put(vec![0_u8; 1_000_000])?;
    assert_eq!(queue.get::<Vec<u8>>()?.len(), 1_000_000);
    Ok(())
}

// Hostile bytes.

#[test]
fn a_nesting_of_a_million_is_an_error() {
    for (open, close) in [(&b"]"[..], &b"a"[..]), (b"(", b"t"), (b"(]", b"e")] {
        let depth = 1_000_000;
        let mut pickle = b"\x80\x04".to_vec();
        pickle.extend(open.repeat(depth));
        pickle.extend(close.repeat(depth));
        pickle.push(b'.');
        assert!(Value::loads(&pickle).is_err());
        pickle.truncate(2 + open.len() * depth);
        assert_eq!(Value::loads(&pickle), Err(PickleError::Truncated));
    }
    let nested = (0..1_000_000).fold(b"\x80\x04N".to_vec(), |mut pickle, _| {
        pickle.push(0x85);
        pickle
    });
    let refused = Value::loads(&[nested.as_slice(), b"."].concat());
    assert_eq!(refused, Err(PickleError::TooDeep));
}

#[test]
fn a_value_that_contains_itself_is_an_error() {
    for pickle in [
        &b"\x80\x04]\x94h\x00a."[..],
        // Several times, in a dict, by way of a tuple.
        b"\x80\x04]\x94(h\x00h\x00h\x00e.",
        b"\x80\x04}\x94K\x00h\x00s.",
        b"\x80\x04]\x94h\x00h\x00\x86\x94h\x01\x86a.",
    ] {
        assert_eq!(Value::loads(pickle), Err(PickleError::TooDeep));
    }
}

#[test]
fn what_is_shared_counts_with_its_depth_wherever_it_occurs() {
    // A tuple of 200 levels, and it again within further ones.
    let nested = |further: usize| {
        let mut pickle = b"\x80\x04)".to_vec();
        pickle.extend([0x85; 200]);
        pickle.extend(b"\x94h\x00");
        pickle.extend(vec![0x85; further]);
        pickle.extend(b"\x86.");
        Value::loads(&pickle)
    };
    assert!(nested(54).is_ok());
    assert_eq!(nested(55), Err(PickleError::TooDeep));
}

#[test]
fn a_value_that_doubles_itself_is_an_error() {
    // [[], []], then twice that, and so on: 2^50 lists in 200 bytes.
    let mut pickle = b"\x80\x04]\x940".to_vec();
    for index in 0..50 {
        pickle.extend([b'h', index, b'h', index, 0x86, 0x94, b'0']);
    }
    pickle.extend(b"h\x32.");
    // Not by `assert_eq`, which would write all of the lists.
    assert!(matches!(Value::loads(&pickle), Err(PickleError::TooBig)));
}

#[test]
fn hostile_lengths_are_errors() {
    let longest = u64::MAX.to_le_bytes();
    for operation in [0x8d, 0x8e, 0x96, 0x95] {
        for length in [longest, (1_u64 << 63).to_le_bytes()] {
            let pickle = [&[0x80, 4, operation], &length[..], b"abc."].concat();
            assert_eq!(Value::loads(&pickle), Err(PickleError::Truncated));
        }
    }
    for operation in [b'X', b'B', 0x8b] {
        let pickle = [&[0x80, 4, operation], &[0xff; 4][..], b"abc."].concat();
        assert_eq!(Value::loads(&pickle), Err(PickleError::Truncated));
    }
}

#[test]
fn a_class_that_is_not_in_the_table_is_an_error() {
    for pickle in [
        &b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R."[..],
        b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
    ] {
        let refused = Value::loads(pickle);
        assert!(
            matches!(refused, Err(PickleError::UnknownClass(_))),
            "{refused:?}"
        );
    }
    // Persistent ids, extensions, out-of-band buffers, `INST`, `OBJ`.
    for operation in [b'P', b'Q', 0x82, 0x83, 0x84, 0x97, 0x98, b'i', b'o'] {
        let refused = Value::loads(&[0x80, 4, b'N', operation, b'.']);
        assert_eq!(refused, Err(PickleError::UnknownOperation(operation)));
    }
}

#[test]
fn a_value_shared_within_a_pickle_stays_shared() {
    // A list that grows after it was stored.
    let pickle = b"\x80\x04]\x94(]\x94K\x01ah\x01K\x02ae.";
    let value = Value::loads(pickle).unwrap();
    assert_eq!(format!("{value:?}"), "[[1, 2], [1, 2]]");
    // It is written once, and stored and fetched.
    let written = value.dumps().unwrap();
    assert_eq!(written, b"\x80\x04](](K\x01K\x02e\x94h\x00e.");
    assert_eq!(Value::loads(&written), Ok(value));

    let proxy = b"\x8c\x18multiprocessing.managers\x8c\x0cRebuildProxy\x93(\
        \x8c\x18multiprocessing.managers\x8c\x09ListProxy\x93\
        \x8c\x18multiprocessing.managers\x8c\x05Token\x93)\x81\
        \x8c\x04list\x8c\x02/x\x8c\x011\x87b\x8c\x06pickle}tR";
    for shared in [
        &b"\x8c\x01x"[..],
        b"C\x01x",
        b"\x8c\x08builtins\x8c\x09bytearray\x93C\x01x\x85R",
        b"K\x01\x85",
        b"}K\x01K\x02s",
        b"\x8f(K\x01\x90",
        b"(K\x01\x91",
        b"\x8c\x05queue\x8c\x05Empty\x93)R",
        b"\x8c\x07decimal\x8c\x07Decimal\x93\x8c\x011\x85R",
        proxy,
    ] {
        let twice = [b"\x80\x04", shared, b"\x94h\x00\x86."].concat();
        let once = [b"\x80\x04", shared, b"\x85."].concat();
        let lengths = [twice, once].map(|pickle| {
            let value = Value::loads(&pickle).unwrap();
            value.dumps().unwrap().len()
        });
        // The second is no more than MEMOIZE, BINGET and its number.
        assert_eq!(lengths[0], lengths[1] + 3, "{shared:?}");
    }
    // A bytearray of shared bytes.
    let pickle =
        b"\x80\x04C\x01x\x94\x8c\x08builtins\x8c\x09bytearray\x93h\x00\x85R\x86.";
    let value = Value::loads(pickle).unwrap();
    assert_eq!(Value::loads(&value.dumps().unwrap()), Ok(value));
    // Content that values of two kinds share.
    let items = Shared::from(vec![Value::None]);
    let value = Value::from((Value::Tuple(items.clone()), Value::List(items)));
    assert_eq!(Value::loads(&value.dumps().unwrap()), Ok(value));
    // More than a byte can number.
    let many = (0..300).map(|n| Value::from(n.to_string()));
    let many = Value::from(many.collect::<Vec<_>>());
    let twice = Value::from((many.clone(), many.clone()));
    let read = Value::loads(&twice.dumps().unwrap()).unwrap();
    assert_eq!(read, twice);
    let Value::List(items) = &many else {
        panic!("{many:?}")
    };
    let again = Value::from((items.to_vec(), items.to_vec()));
    assert_eq!(Value::loads(&again.dumps().unwrap()), Ok(again));
}

#[test]
fn the_request_of_a_client_that_has_gone_ends() {
    let _watchdog = Watchdog::start();
    let address = our_server(KEY, Digests::All);
    let mut manager = SyncManager::new(&address, KEY);
    manager.connect().unwrap();
    let list = manager.list([0; 0]).unwrap();
    let row = Value::from((0..100_000).collect::<Vec<i64>>());
    for _ in 0..3 {
        list.extend(vec![row.clone(); 100]).unwrap();
    }
    // How long another client waits.
    let length = || {
        let start = Instant::now();
        list.len().unwrap();
        start.elapsed()
    };
    let start = Instant::now();
    list.sort().unwrap_err();
    let whole = start.elapsed();
    let Value::Proxy(found) = Value::from(list.proxy()) else {
        panic!("a proxy is sent as one")
    };
    let ident = &found.token.ident;
    let waits = (0..3).map(|_| {
        let stream = dial_as_python("3.13", &address);
        let name = vec!["gone".into()];
        send(&stream, &request(None, "accept_connection", name));
        receive(&stream).unwrap();
        send(&stream, &request(Some(ident), "sort", Vec::new()));
        // Long enough for the server to begin, short of its end.
        thread::sleep(whole / 20);
        drop(stream);
        length()
    });
    let shortest = waits.min().unwrap();
    assert!(shortest < whole / 2, "{shortest:?} of {whole:?}");
    drop((list, found));
    stop(&address, KEY);
}

/// Any value that can be sent.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-300_i64..300).prop_map(Value::Int),
        any::<f64>()
            .prop_filter("NaN is not itself", |value| !value.is_nan())
            .prop_map(Value::Float),
        ".{0,300}".prop_map(|content| Value::Str(content.into())),
        prop::collection::vec(any::<u8>(), 0..300)
            .prop_map(|content| Value::Bytes(content.into())),
        prop::collection::vec(any::<u8>(), 0..9)
            .prop_map(|content| Value::ByteArray(content.into())),
        "[a-z]{0,9}".prop_map(|text| {
            Value::Exception(Exception::value_error(text).into())
        }),
    ];
    let key = prop_oneof![
        any::<i64>().prop_map(Value::Int),
        ".{0,9}".prop_map(|content| Value::Str(content.into())),
        prop::collection::vec(any::<u8>(), 0..9)
            .prop_map(|content| Value::Bytes(content.into())),
        (any::<i8>(), ".{0,3}").prop_map(|(n, text)| Value::from((n, text))),
    ];
    let keys = prop::collection::vec(key.clone(), 0..8).prop_map(|mut keys| {
        keys.sort_by_cached_key(|key| format!("{key:?}"));
        keys.dedup();
        keys
    });
    let leaf = prop_oneof![
        leaf,
        keys.clone().prop_map(|content| Value::Set(content.into())),
        keys.clone()
            .prop_map(|content| Value::FrozenSet(content.into()))
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        let items = || prop::collection::vec(inner.clone(), 0..8);
        let entries = (keys.clone(), prop::collection::vec(inner.clone(), 8));
        prop_oneof![
            items().prop_map(|content| Value::Tuple(content.into())),
            items().prop_map(|content| Value::List(content.into())),
            entries.prop_map(|(keys, values)| {
                Value::Dict(keys.into_iter().zip(values).collect())
            }),
            inner.prop_map(|value| Value::from((value.clone(), value))),
        ]
    })
}

/// A method of a list, mostly, and any arguments.
fn any_request() -> impl Strategy<Value = (String, Vec<Value>)> {
    let method = prop_oneof![
        8 => prop::sample::select(vec![
            "append", "extend", "insert", "pop", "remove", "index", "count", "sort",
            "__getitem__", "__setitem__", "__delitem__", "__add__", "__contains__",
            "__mul__", "__reversed__", "reverse", "clear", "#GETVALUE", "__repr__",
        ]).prop_map(String::from),
        1 => ".{0,9}",
    ];
    (method, prop::collection::vec(any_value(), 0..4))
}

/// Bytes that look like a pickle: operations that are known, in any order.
fn almost_a_pickle() -> impl Strategy<Value = Vec<u8>> {
    let operations = b"NKMJGXCB)](}eastuRbc0(12hjqr\x80\x81\x85\x86\x87\x88\x89\x8a\
        \x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96.";
    let byte = prop_oneof![
        8 => prop::sample::select(operations.to_vec()),
        2 => 0..16_u8,
        1 => any::<u8>(),
    ];
    let class = prop::sample::select(vec![
        &b"\x8c\x08builtins\x8c\x04list\x93"[..],
        b"\x8c\x18multiprocessing.managers\x8c\x05Token\x93)\x81",
        b"\x8c\x18multiprocessing.managers\x8c\x0cRebuildProxy\x93",
        b"\x8c\x05queue\x8c\x05Empty\x93)R",
    ]);
    let piece = prop_oneof![
        20 => byte.prop_map(|byte| vec![byte]),
        1 => class.prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_written_value_is_read_back(value in any_value()) {
        prop_assert_eq!(Value::loads(&value.dumps().unwrap()), Ok(value));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in almost_a_pickle()) {
        let _value_or_error = Value::loads(&bytes);
    }

    #[test]
    fn no_change_of_a_pickle_makes_the_reader_panic(
        value in any_value(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut pickle = value.dumps().unwrap();
        for (place, byte) in changes {
            let place = place.index(pickle.len());
            pickle[place] = byte;
        }
        let _value_or_error = Value::loads(&pickle);
    }
}

#[test]
fn every_cut_of_a_recorded_message_is_an_error() {
    for version in ["3.11", "3.13"] {
        for (_, message) in recorded(version).concat() {
            if message.starts_with(b"\x80") {
                assert!(Value::loads(&message).is_ok());
                for length in 0..message.len() {
                    assert!(Value::loads(&message[..length]).is_err());
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        // Each is a handshake and several messages.
        cases: 40,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_request_ends_a_server(requests in prop::collection::vec(any_request(), 1..8)) {
        static SERVER: LazyLock<(Address, String, SyncManager)> = LazyLock::new(|| {
            let address = our_server(KEY, Digests::All);
            let mut manager = SyncManager::new(&address, KEY);
            manager.connect().unwrap();
            let list = manager.list([1]).unwrap();
            let Value::Proxy(found) = Value::from(&list) else {
                panic!("a proxy is sent as one")
            };
            // Kept for as long as the tests run.
            std::mem::forget(list);
            let ident = found.token.ident.clone();
            std::mem::forget(found);
            (address, ident, manager)
        });
        let _watchdog = Watchdog::start();
        let (address, ident, manager) = &*SERVER;
        let stream = dial_as_python("3.13", address);
        send(&stream, &request(None, "accept_connection", vec!["x".into()]));
        prop_assert!(receive(&stream).is_some());
        for (method, args) in requests {
            send(&stream, &request(Some(ident), &method, args));
            prop_assert!(receive(&stream).is_some(), "{method} got no reply");
        }
        prop_assert!(manager.number_of_objects().is_ok());
    }
}
