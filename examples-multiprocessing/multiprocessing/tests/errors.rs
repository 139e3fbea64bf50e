//! Every error of the library becomes an [`Error`] that says and knows the same.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use multiprocessing::{
    Barrier, BoundedSemaphore, Error, JoinableQueue, Lock, PoolError, Process,
    ProcessError, PutError, Queue, RLock, RecvError, SendError, SharedMemory,
    TaskError, TasksLost, freeze_support, pipe,
};
use serde::de::Deserializer;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use tutorial::harness::Watchdog;

/// The error and what it becomes have the same text and the same cause.
#[track_caller]
fn stays<E: std::error::Error + Into<Error>>(error: E) -> Error {
    let text = error.to_string();
    assert!(text.contains(' '), "{text:?} is no sentence");
    let cause = error.source().map(ToString::to_string);
    let error: Error = error.into();
    assert_eq!(error.to_string(), text);
    assert_eq!(error.source().map(ToString::to_string), cause);
    error
}

fn refused() -> io::Error {
    io::Error::from_raw_os_error(24)
}

#[test]
fn an_error_says_the_same_as_one_of_the_library() {
    let _watchdog = Watchdog::start();
    let never_started = Process::new(|| ()).join().unwrap_err();
    assert!(matches!(stays(never_started), Error::Process(_)));
    assert!(matches!(stays(PoolError::TooFew), Error::Pool(_)));
    assert!(matches!(stays(TaskError::Deadline), Error::Task(_)));

    let q = Queue::new(1).unwrap();
    assert!(matches!(stays(q.get_nowait().unwrap_err()), Error::Get(_)));
    q.put("item".to_string()).unwrap();
    let full = stays(q.put_nowait("lost".into()).unwrap_err());
    assert!(
        matches!(full, Error::Put(error) if matches!(*error, PutError::Full(())))
    );
    let q = JoinableQueue::<i32>::new(0).unwrap();
    let too_often = stays(q.task_done().unwrap_err());
    assert!(matches!(too_often, Error::TaskDoneTooOften(_)));
    assert!(matches!(stays(TasksLost(2)), Error::TasksLost(_)));
    assert!(TasksLost(2).to_string().starts_with("2 tasks were lost"));

    let (receiver, sender) = pipe(false).unwrap();
    let error = stays(receiver.send(&1).unwrap_err());
    assert!(matches!(error, Error::Send(_)));
    sender.send("text").unwrap();
    let Err(RecvError::Decode(undecodable)) = receiver.recv::<bool>() else {
        panic!("a text is no bool");
    };
    assert!(matches!(stays(undecodable), Error::Decode(_)));
    let error = stays(sender.recv::<i32>().unwrap_err());
    assert!(matches!(error, Error::Recv(_)));
    let error = stays(sender.poll(Duration::ZERO).unwrap_err());
    assert!(matches!(error, Error::Io(_)));
    // No lock can be sent in a message.
    let Err(SendError::Encode(error)) = sender.send(&Lock::new().unwrap()) else {
        panic!("a lock was sent");
    };
    assert!(
        error.to_string().contains("of a pool's initializer"),
        "{error}"
    );
    assert!(matches!(stays(error), Error::Encode(_)));

    let barrier = Barrier::new(2).unwrap();
    barrier.abort();
    let error = stays(barrier.wait().unwrap_err());
    assert!(matches!(error, Error::BarrierBroken(_)));
    let error = stays(Lock::new().unwrap().release().unwrap_err());
    assert!(matches!(error, Error::NotLocked(_)));
    let error = stays(RLock::new().unwrap().release().unwrap_err());
    assert!(matches!(error, Error::NotOwner(_)));
    let error = stays(BoundedSemaphore::new(1).unwrap().release().unwrap_err());
    assert!(matches!(error, Error::ReleasedTooOften(_)));
    let error = SharedMemory::attach("no-such-block").unwrap_err();
    assert!(matches!(error, Error::NoSuchBlock { .. }));
}

#[test]
fn the_systems_reason_is_the_cause_at_any_depth() {
    let system = || Error::System {
        doing: "try",
        source: refused(),
    };
    let errors = [
        stays(SendError::Io(refused())),
        stays(RecvError::Io(refused())),
        stays(PutError::System(7, system())),
        stays(PoolError::System(system())),
        stays(ProcessError::System {
            what: "try",
            source: refused(),
        }),
        system(),
    ];
    for error in errors {
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        let code = cause.and_then(io::Error::raw_os_error);
        assert_eq!(code, Some(24), "{error:?}");
        assert_eq!(
            error.to_string().matches("open files").count(),
            1,
            "{error}"
        );
    }
}

#[test]
fn an_error_for_want_of_descriptors_says_what_to_do() {
    for (code, remedy) in [
        (libc::EMFILE, "`ulimit -n 4096`"),
        (libc::ENFILE, "`sysctl fs.file-max"),
        (libc::ETOOMANYREFS, "receive messages that wait"),
    ] {
        let source = || io::Error::from_raw_os_error(code);
        let errors: [Error; _] = [
            Error::System {
                doing: "try",
                source: source(),
            },
            ProcessError::System {
                what: "try",
                source: source(),
            }
            .into(),
            SendError::Io(source()).into(),
            RecvError::Io(source()).into(),
            source().into(),
            #[cfg(feature = "managers")]
            multiprocessing::managers::ManagerError::Absent {
                address: ("127.0.0.1", 1).into(),
                source: source(),
            }
            .into(),
            #[cfg(feature = "managers")]
            multiprocessing::managers::ManagerError::Bind {
                address: ("127.0.0.1", 1).into(),
                source: source(),
            }
            .into(),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.contains(&source().to_string()), "{text}");
            assert!(text.contains(remedy), "{text}");
            assert!(!text.contains("start the server first"), "{text}");
            assert!(!text.contains("choose another"), "{text}");
        }
    }
}

#[test]
fn the_reason_why_an_argument_is_refused_is_the_cause() {
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("never"))
        }
    }
    impl<'de> Deserialize<'de> for Refuses {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    freeze_support();
    let start = Process::spawned(|_: Refuses| (), Refuses).start();
    let error = stays(start.unwrap_err());
    let cause = error.source().map(ToString::to_string);
    assert!(
        cause.is_some_and(|cause| cause.contains("never")),
        "{error}"
    );
}

#[cfg(feature = "managers")]
#[test]
fn the_errors_of_managers_are_passed_on() {
    use multiprocessing::managers::{Address, BaseManager};

    let error = BaseManager::new(("127.0.0.1", 1), b"key").connect();
    assert!(matches!(stays(error.unwrap_err()), Error::Manager(_)));
    // No descriptor, or no thread, for a further connection.
    let closed = multiprocessing::managers::ManagerError::Absent {
        address: ("127.0.0.1", 1).into(),
        source: io::ErrorKind::UnexpectedEof.into(),
    };
    let text = stays(closed).to_string();
    assert!(
        text.contains("`ulimit -n 4096` and `ulimit -u 4096`"),
        "{text}"
    );
    let error = "here".parse::<Address>().unwrap_err();
    assert!(matches!(stays(error), Error::NotAnAddress(_)));
}

#[cfg(feature = "broker")]
#[test]
fn the_errors_of_a_broker_are_passed_on() {
    use multiprocessing::broker::BrokerError;

    let error = BrokerError::Pool(PoolError::StillRunning);
    assert!(matches!(stays(error), Error::Broker(_)));
}
