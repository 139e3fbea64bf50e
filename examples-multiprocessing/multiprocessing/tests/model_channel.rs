//! The channel under [loom](https://docs.rs/loom), as `tests/model.rs` has the
//! primitives. The words of the messages have no order of their own: a tail that is
//! moved before its message is there, or a head before its message was read, shows up
//! as a data race. The scenarios are short, as loom knows the last seven stores to an
//! atomic only.
#![allow(dead_code, reason = "the models use the channel, not all of it")]
#![allow(unused_imports, reason = "the library exports them")]
#![allow(unreachable_pub, reason = "the files are public in the library")]
#![allow(missing_docs, reason = "the library documents them")]

#[path = "../src/channel/mod.rs"]
mod channel;
#[path = "model_sys/error.rs"]
mod error;
#[path = "model_sys/mod.rs"]
mod sys;
#[path = "../src/wait/mod.rs"]
mod wait;

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use channel::{Channel, RecvError, SendError};
use sys::futex::Deadline;
use sys::registry;

/// Tries the interleavings with up to this many preemptions.
fn model(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    // What a spin finds loom tries anyway.
    wait::set_spinning(false);
    builder.check(scenario);
}

fn channel(limit: u32) -> Arc<Channel> {
    Arc::new(Channel::new(limit).unwrap())
}

fn send(channel: &Channel, message: &[u8]) {
    channel.send(message, Deadline::Never).unwrap();
}

fn recv(channel: &Channel) -> Vec<u8> {
    let mut message = Vec::new();
    channel
        .recv(&mut message, Deadline::Never, || true, |_| ())
        .unwrap();
    message
}

#[test]
fn messages_arrive_whole_and_in_order_when_memory_is_reused() {
    model(2, || {
        let channel = channel(2);
        let sender = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                for byte in 1..=3 {
                    send(&channel, &[byte; 20]);
                }
            })
        };
        for byte in 1..=3 {
            assert_eq!(recv(&channel), [byte; 20]);
        }
        sender.join().unwrap();
        assert_eq!(channel.len(), 0);
    });
}

#[test]
fn the_buffer_of_a_message_is_half_a_page_longer() {
    model(1, || {
        let channel = channel(0);
        send(&channel, &[7; 5]);
        let message = recv(&channel);
        assert_eq!(message, [7; 5]);
        assert!(message.capacity() >= message.len() + 2048);
    });
}

#[test]
fn messages_longer_than_a_piece_of_memory_arrive_whole() {
    model(2, || {
        let channel = channel(2);
        let sender = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                send(&channel, &[1; 50]);
                send(&channel, &[]);
                send(&channel, &[2; 40]);
            })
        };
        assert_eq!(recv(&channel), [1; 50]);
        assert_eq!(recv(&channel), []);
        assert_eq!(recv(&channel), [2; 40]);
        sender.join().unwrap();
    });
}

#[test]
fn two_receivers_that_sleep_are_both_woken() {
    model(2, || {
        let channel = channel(0);
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let channel = Arc::clone(&channel);
                thread::spawn(move || recv(&channel)[0])
            })
            .collect();
        send(&channel, &[1]);
        send(&channel, &[2]);
        let mut got: Vec<_> =
            receivers.into_iter().map(|r| r.join().unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn two_senders_that_sleep_are_both_woken() {
    model(2, || {
        let channel = channel(2);
        send(&channel, &[0]);
        send(&channel, &[0]);
        let senders: Vec<_> = (1..=2)
            .map(|byte| {
                let channel = Arc::clone(&channel);
                thread::spawn(move || send(&channel, &[byte]))
            })
            .collect();
        assert_eq!((recv(&channel), recv(&channel)), (vec![0], vec![0]));
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(channel.len(), 2);
    });
}

#[test]
fn a_message_that_comes_while_a_receiver_wakes_wakes_the_other() {
    model(1, || {
        let channel = channel(0);
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let channel = Arc::clone(&channel);
                thread::spawn(move || recv(&channel)[0])
            })
            .collect();
        send(&channel, &[1]);
        send(&channel, &[2]);
        let now = Deadline::At(Duration::ZERO);
        // Perhaps it gets one before they do, perhaps not.
        let _either = channel.recv(&mut Vec::new(), now, || true, |_| ());
        send(&channel, &[3]);
        for receiver in receivers {
            receiver.join().unwrap();
        }
    });
}

#[test]
fn receivers_that_sleep_learn_that_their_last_peer_has_gone() {
    model(1, || {
        let (channel, peers) = (channel(0), Arc::new(AtomicBool::new(true)));
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let (channel, peers) = (Arc::clone(&channel), Arc::clone(&peers));
                thread::spawn(move || {
                    let alive = || peers.load(Ordering::SeqCst);
                    channel.recv(&mut Vec::new(), Deadline::Never, alive, |_| ())
                })
            })
            .collect();
        // One that is about to sleep may miss it, and learns it at the end of its slice.
        loom::stop_exploring();
        while sys::futex::sleepers() < 2 {
            thread::yield_now();
        }
        loom::explore();
        peers.store(false, Ordering::SeqCst);
        channel.wake_receivers();
        for receiver in receivers {
            assert_eq!(receiver.join().unwrap(), Err(RecvError::Disconnected));
        }
    });
}

#[test]
fn a_sender_that_is_killed_leaves_its_message_whole_or_not_at_all() {
    for change in 0..20 {
        model(1, move || {
            let channel = channel(0);
            send(&channel, &[1]);
            registry::killed_before(change, || send(&channel, &[2]));
            let second_is_there = channel.sent() == 2;
            send(&channel, &[3]);
            let messages: &[u8] = if second_is_there { &[1, 2, 3] } else { &[1, 3] };
            assert_eq!(channel.len(), messages.len(), "change {change}");
            for message in messages {
                assert_eq!(recv(&channel), [*message], "change {change}");
            }
        });
    }
}

#[test]
fn a_short_message_is_whole_although_the_next_is_sent_meanwhile() {
    model(2, || {
        let channel = channel(0);
        let sender = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                send(&channel, &[1; 16]);
                send(&channel, &[2; 16]);
            })
        };
        let mut message = Vec::new();
        let mut get = || channel.recv(&mut message, Deadline::NOW, || true, |_| ());
        if get() == Ok(()) {
            assert_eq!(message, [1; 16]);
        }
        sender.join().unwrap();
    });
}
