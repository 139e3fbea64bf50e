//! What the pipes promise and no listing shows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use multiprocessing::{Connection, NamedPipe, RecvError, SendError, pipe, wait};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tutorial::harness::{Watchdog, unique};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tree {
    name: String,
    children: Vec<Tree>,
    notes: BTreeMap<String, Option<i64>>,
    ratio: f32,
    nothing: (),
}

fn tree() -> impl Strategy<Value = Tree> {
    let notes = prop::collection::btree_map(".{0,8}", any::<Option<i64>>(), 0..4);
    let leaf = (".*", notes, -1.0..1.0f32);
    let leaf = leaf.prop_map(|(name, notes, ratio)| Tree {
        name,
        children: Vec::new(),
        notes,
        ratio,
        nothing: (),
    });
    leaf.prop_recursive(3, 16, 4, |inner| {
        (prop::collection::vec(inner.clone(), 0..4), inner)
            .prop_map(|(children, tree)| Tree { children, ..tree })
    })
}

fn crosses<T>(value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let (a, b) = pipe(true).unwrap();
    for (from, to) in [(&a, &b), (&b, &a)] {
        from.send(value).unwrap();
        assert_eq!(to.recv::<T>().unwrap(), *value);
    }
}

/// Sends a packet of one's own making.
fn send_raw(sender: &Connection, bytes: &[u8], attached: Option<BorrowedFd<'_>>) {
    let fds = attached.map(|fd| [fd.as_raw_fd()]);
    let rights = fds.as_ref().map(|fds| ControlMessage::ScmRights(fds));
    let socket = sender.as_fd().as_raw_fd();
    let parts = [IoSlice::new(bytes)];
    sendmsg::<()>(socket, &parts, rights.as_slice(), MsgFlags::empty(), None)
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_cross_unchanged(
        list in prop::collection::vec(any::<Option<String>>(), 0..20),
        map in any::<BTreeMap<u16, (char, Vec<u8>)>>(),
        tree in tree(),
    ) {
        let _watchdog = Watchdog::start();
        crosses(&list);
        crosses(&map);
        crosses(&tree);
    }

    #[test]
    fn bytes_of_any_length_cross_unchanged(length in 0..300_000usize, seed: u8) {
        let _watchdog = Watchdog::start();
        let bytes: Vec<u8> = (0..length).map(|i| (i as u8) ^ seed).collect();
        let (receiver, sender) = pipe(false).unwrap();
        sender.send_bytes(&bytes).unwrap();
        prop_assert_eq!(receiver.recv_bytes().unwrap(), bytes);
    }

    #[test]
    fn broken_bytes_are_an_error(bytes in any::<Vec<u8>>()) {
        let _watchdog = Watchdog::start();
        let (receiver, sender) = pipe(false).unwrap();
        sender.send_bytes(&bytes).unwrap();
        if let Err(error) = receiver.recv::<Tree>() {
            prop_assert!(matches!(error, RecvError::Decode(_)));
        }
        if !bytes.is_empty() {
            send_raw(&sender, &bytes, None);
            prop_assert!(matches!(receiver.recv_bytes(), Err(RecvError::Broken)));
        }
        sender.send(&7).unwrap();
        prop_assert_eq!(receiver.recv::<i32>().unwrap(), 7);
    }
}

#[test]
fn a_message_crosses_at_every_length_at_which_its_form_changes() {
    let _watchdog = Watchdog::start();
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 64 << 20] {
        let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let (receiver, sender) = pipe(false).unwrap();
        sender.send_bytes(&bytes).unwrap();
        assert!(receiver.recv_bytes().unwrap() == bytes, "{length} bytes");
    }
    crosses(&());
    crosses(&String::new());
}

#[test]
fn a_length_that_is_not_that_of_the_file_is_an_error() {
    let _watchdog = Watchdog::start();
    let (receiver, sender) = pipe(false).unwrap();
    let file = memfd_create(c"", MFdFlags::empty()).unwrap();
    std::fs::File::from(file.try_clone().unwrap())
        .write_all(b"four")
        .unwrap();
    for length in [0, 3, 5, u64::MAX] {
        send_raw(&sender, &u64::to_le_bytes(length), Some(file.as_fd()));
        assert!(matches!(receiver.recv_bytes(), Err(RecvError::Broken)));
    }
}

#[test]
fn messages_of_many_senders_arrive_whole_and_once_at_many_receivers() {
    let _watchdog = Watchdog::start();
    let (receiver, sender) = pipe(false).unwrap();
    thread::scope(|s| {
        for id in 0..4 {
            let sender = &sender;
            s.spawn(move || {
                for length in [1, 100, 5_000, 70_000, 300_000].repeat(20) {
                    sender.send_bytes(&vec![id; length]).unwrap();
                }
            });
        }
        for _ in 0..2 {
            s.spawn(|| {
                for _ in 0..200 {
                    let message = receiver.recv_bytes().unwrap();
                    assert!(message.iter().all(|byte| *byte == message[0]));
                }
            });
        }
    });
    assert!(!receiver.poll(Duration::ZERO).unwrap());
}

#[test]
fn both_sides_may_send_something_large_before_they_receive() {
    let _watchdog = Watchdog::start();
    let (a, b) = pipe(true).unwrap();
    let large = vec![7; 8 << 20];
    a.send_bytes(&large).unwrap();
    b.send_bytes(&large).unwrap();
    assert!(a.recv_bytes().unwrap() == large && b.recv_bytes().unwrap() == large);
}

#[test]
fn what_was_sent_before_the_end_is_received_before_the_end() {
    let _watchdog = Watchdog::start();
    let (a, b) = pipe(true).unwrap();
    b.send("never read").unwrap();
    a.send(&1).unwrap();
    a.send(&2).unwrap();
    a.close();
    assert_eq!(b.recv::<i32>().unwrap(), 1);
    assert_eq!(b.recv::<i32>().unwrap(), 2);
    assert!(matches!(b.recv::<i32>(), Err(RecvError::EndOfFile)));
    assert!(matches!(b.send(&3), Err(SendError::Closed)));
}

#[test]
fn an_end_that_was_closed_with_a_message_unread_is_closed_for_its_sender() {
    for length in [10, 10_000] {
        let (a, b) = pipe(true).unwrap();
        b.send("never read").unwrap();
        a.close();
        let refused = b.send_bytes(&vec![7; length]);
        assert!(matches!(refused, Err(SendError::Closed)), "{refused:?}");
    }
}

#[test]
fn neither_end_is_inherited_by_programs() {
    let (a, b) = pipe(true).unwrap();
    for end in [&a, &b] {
        let flags = fcntl(end, FcntlArg::F_GETFD).unwrap();
        assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
    }
}

#[test]
fn a_message_with_bytes_left_over_is_an_error() {
    let _watchdog = Watchdog::start();
    let (receiver, sender) = pipe(false).unwrap();
    sender.send(&(7, 8)).unwrap();
    assert!(matches!(receiver.recv::<i32>(), Err(RecvError::Decode(_))));
}

#[test]
fn the_writer_to_a_named_pipe_that_is_read_waits_for_room() {
    let _watchdog = Watchdog::start();
    let path = env::temp_dir().join(unique("pipes-test"));
    let fifo = NamedPipe::create(&path).unwrap();
    assert!(fifo.writer_if_read().unwrap().is_none());
    // An end that is opened for both directions does not wait.
    let _reader = File::options().read(true).write(true).open(&path).unwrap();
    let writer = fifo.writer_if_read().unwrap().unwrap();
    let flags = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK));
}

#[test]
fn a_named_pipe_is_for_its_user_alone_and_any_handle_removes_it() {
    let path = env::temp_dir().join(unique("pipes-test"));
    let mine = NamedPipe::create(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = NamedPipe::open(&path).unwrap();
    assert!(mine.is_creator() && !other.is_creator());
    other.remove().unwrap();
    let error = mine.writer_if_read().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn poll_with_a_timeout_waits_that_long() {
    let _watchdog = Watchdog::start();
    let (a, _b) = pipe(true).unwrap();
    let start = Instant::now();
    assert!(!a.poll(Duration::from_millis(50)).unwrap());
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(
        wait::<&Connection>(&[], Some(Duration::ZERO)).unwrap(),
        [0; 0]
    );
}

#[test]
fn a_receiver_that_sleeps_is_woken() {
    let _watchdog = Watchdog::start();
    let (a, b) = pipe(true).unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            b.send("here").unwrap();
        });
        assert_eq!(a.recv::<String>().unwrap(), "here");
    });
}

#[test]
fn an_end_that_only_sends_is_not_polled() {
    let _watchdog = Watchdog::start();
    let (_receiver, sender) = pipe(false).unwrap();
    // At once: it would be ready for ever as soon as the receiver is gone.
    for timeout in [Duration::ZERO, Duration::MAX] {
        let error = sender.poll(timeout).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), RecvError::SendsOnly.to_string());
    }
}

#[test]
fn an_end_is_closed_with_its_last_clone() {
    let _watchdog = Watchdog::start();
    let (receiver, sender) = pipe(false).unwrap();
    let clone = sender.clone();
    drop(sender);
    let error = clone.poll(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(matches!(clone.recv::<i32>(), Err(RecvError::SendsOnly)));
    clone.send(&1).unwrap();
    assert_eq!(receiver.recv::<i32>().unwrap(), 1);
    clone.close();
    let ended = receiver.poll(Duration::from_secs(10)).unwrap();
    assert!(ended, "the end is still open");
    assert!(matches!(receiver.recv::<i32>(), Err(RecvError::EndOfFile)));
}
