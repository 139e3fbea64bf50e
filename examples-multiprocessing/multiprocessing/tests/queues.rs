//! What the queues promise within one process; `queue_kills` asks several.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use multiprocessing::{
    GetError, JoinableQueue, PutError, Queue, SimpleQueue, TaskDoneTooOften,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize, Serializer};
use tutorial::harness::Watchdog;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tree {
    name: String,
    children: Vec<Tree>,
    notes: BTreeMap<String, Option<i64>>,
    nothing: (),
}

fn tree() -> impl Strategy<Value = Tree> {
    let notes = prop::collection::btree_map(".{0,8}", any::<Option<i64>>(), 0..4);
    let leaf = (".*", notes).prop_map(|(name, notes)| Tree {
        name,
        children: Vec::new(),
        notes,
        nothing: (),
    });
    leaf.prop_recursive(3, 16, 4, |inner| {
        (prop::collection::vec(inner.clone(), 0..4), inner)
            .prop_map(|(children, tree)| Tree { children, ..tree })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_cross_unchanged_and_in_order(
        trees in prop::collection::vec(tree(), 0..4),
        blob in prop::collection::vec(any::<u8>(), 0..200_000),
    ) {
        let _watchdog = Watchdog::start();
        let q = Queue::new(0).unwrap();
        let values: Vec<_> = trees
            .into_iter()
            .map(|tree| (tree, Vec::new()))
            .chain([(
                Tree { name: String::new(), children: vec![], notes: [].into(), nothing: () },
                blob,
            )])
            .collect();
        for value in &values {
            q.put(value.clone()).unwrap();
        }
        prop_assert_eq!(q.qsize(), values.len());
        for value in values {
            prop_assert_eq!(q.get().unwrap(), value);
        }
    }
}

#[test]
fn unit_values_count_as_items() {
    let _watchdog = Watchdog::start();
    let q = Queue::new(0).unwrap();
    for _ in 0..100_000 {
        q.put(()).unwrap();
    }
    assert_eq!(q.qsize(), 100_000);
    for _ in 0..100_000 {
        q.get().unwrap();
    }
    assert_eq!(q.get_nowait(), Err(GetError::Empty));
}

/// Bytes as bytes: a `Vec<u8>` goes number by number.
#[derive(Debug, PartialEq, Clone)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(d).map(|bytes| Self(bytes.to_vec()))
    }
}

#[test]
fn a_blob_of_64_mebibytes_crosses_among_small_ones() {
    let _watchdog = Watchdog::start();
    let q = Queue::new(2).unwrap();
    let large = Blob((0..64 << 20).map(|i| (i % 251) as u8).collect());
    thread::scope(|s| {
        s.spawn(|| {
            for _ in 0..2 {
                q.put(Blob(vec![1])).unwrap();
                q.put(large.clone()).unwrap();
            }
        });
        for _ in 0..2 {
            assert_eq!(q.get().unwrap(), Blob(vec![1]));
            assert!(q.get().unwrap() == large);
        }
    });
}

#[test]
fn lengths_around_the_pieces_of_the_memory_cross() {
    let _watchdog = Watchdog::start();
    let q = Queue::new(0).unwrap();
    // Moves every length over every alignment of the memory's pieces.
    for round in 0..100u32 {
        let lengths = [0, 1, 7, 8, 9, 65_519, 65_520, 65_528, 65_536, 140_000];
        for length in lengths {
            q.put((round, vec![round as u8; length / (1 + round as usize % 7)]))
                .unwrap();
        }
        for length in lengths {
            let expected =
                (round, vec![round as u8; length / (1 + round as usize % 7)]);
            assert!(q.get().unwrap() == expected);
        }
    }
}

#[test]
fn many_threads_get_every_item_once_and_each_producers_in_order() {
    let _watchdog = Watchdog::start();
    for maxsize in [0, 1, 3] {
        let q = &Queue::new(maxsize).unwrap();
        let got = thread::scope(|s| {
            for producer in 0..3 {
                s.spawn(move || {
                    for i in 0..2_000 {
                        q.put((producer, i)).unwrap();
                    }
                });
            }
            let consumers = [(); 3].map(|()| {
                s.spawn(move || -> Vec<(i32, i32)> {
                    (0..2_000).map(|_| q.get().unwrap()).collect()
                })
            });
            consumers.map(|consumer| consumer.join().unwrap())
        });
        for items in &got {
            for producer in 0..3 {
                let of_one = items.iter().filter(|item| item.0 == producer);
                assert!(of_one.is_sorted());
            }
        }
        let all: HashSet<_> = got.concat().into_iter().collect();
        assert_eq!(all.len(), 6_000);
        assert!(q.empty());
    }
}

#[test]
fn a_call_that_does_not_wait_is_not_refused_for_others_that_do_the_same() {
    const ITEMS: u32 = 20_000;
    let q = &Queue::new(0).unwrap();
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| (0..ITEMS).for_each(|item| q.put_nowait(item).unwrap()));
        }
    });
    let got = AtomicU32::new(0);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                while q.get_nowait().is_ok() {
                    got.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!((got.into_inner(), q.qsize()), (4 * ITEMS, 0));
}

#[test]
fn a_full_queue_refuses_and_gives_the_item_back() {
    let _watchdog = Watchdog::start();
    let q = Queue::new(2).unwrap();
    q.put("a".to_string()).unwrap();
    assert!(!q.full());
    q.put("b".to_string()).unwrap();
    assert!(q.full());
    let start = Instant::now();
    let refused = q
        .put_timeout("c".into(), Duration::from_millis(50))
        .unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(matches!(refused, PutError::Full(_)));
    assert_eq!(refused.into_item(), "c");
    q.get().unwrap();
    q.put_nowait("c".into()).unwrap();
}

#[test]
fn a_put_that_waits_returns_when_there_is_room() {
    let _watchdog = Watchdog::start();
    let q = &Queue::new(1).unwrap();
    q.put(1).unwrap();
    thread::scope(|s| {
        s.spawn(move || q.put(2).unwrap());
        thread::sleep(Duration::from_millis(30));
        assert_eq!((q.get(), q.get()), (Ok(1), Ok(2)));
    });
}

#[test]
fn a_get_with_a_timeout_waits_that_long() {
    let _watchdog = Watchdog::start();
    let q = Queue::<i32>::new(0).unwrap();
    let start = Instant::now();
    let timeout = Duration::from_millis(150);
    assert_eq!(q.get_timeout(timeout), Err(GetError::Empty));
    assert!(start.elapsed() >= timeout);
    assert_eq!(q.get_nowait(), Err(GetError::Empty));
}

#[test]
fn close_ends_puts_in_this_process_and_waiting_gets() {
    let _watchdog = Watchdog::start();
    let q = &Queue::new(0).unwrap();
    q.put(1).unwrap();
    thread::scope(|s| {
        s.spawn(move || {
            assert_eq!(q.get(), Ok(1));
            assert_eq!(q.get(), Err(GetError::Closed));
        });
        thread::sleep(Duration::from_millis(30));
        q.close();
    });
    assert!(matches!(q.put(2), Err(PutError::Closed(2))));
    assert_eq!(q.get_nowait(), Err(GetError::Closed));
}

/// Does not let itself be made bytes of.
struct Refuses;
impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

/// Is written as one number and read as one that is too large.
#[derive(Debug, PartialEq)]
struct Liar;
impl Serialize for Liar {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u32(300)
    }
}
impl<'de> Deserialize<'de> for Liar {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        bool::deserialize(d).map(|_| Self)
    }
}

#[test]
fn an_item_of_another_type_is_an_error_and_taken() {
    let _watchdog = Watchdog::start();
    let q = Queue::new(0).unwrap();
    assert!(matches!(q.put(Refuses), Err(PutError::Encode(Refuses, _))));
    assert!(q.empty());

    let q = Queue::new(0).unwrap();
    q.put(Liar).unwrap();
    assert!(matches!(q.get(), Err(GetError::Decode(_))));
    assert_eq!(q.get_nowait(), Err(GetError::Empty));
}

#[test]
fn join_waits_for_the_last_task() {
    let _watchdog = Watchdog::start();
    let q = &JoinableQueue::new(0).unwrap();
    for i in 0..5 {
        q.put(i).unwrap();
    }
    thread::scope(|s| {
        let worker = s.spawn(move || {
            let mut last = Instant::now();
            for i in 0..5 {
                assert_eq!(q.get(), Ok(i));
                thread::sleep(Duration::from_millis(30));
                last = Instant::now();
                q.task_done().unwrap();
            }
            last
        });
        q.join().unwrap();
        let joined = Instant::now();
        assert!(worker.join().unwrap() <= joined);
    });
    assert_eq!(q.task_done(), Err(TaskDoneTooOften));
    q.join().unwrap();
}

#[test]
fn join_waits_for_a_task_of_the_living_longer_than_for_one_of_the_dead() {
    let _watchdog = Watchdog::start();
    let q = &JoinableQueue::new(0).unwrap();
    q.put(1).unwrap();
    thread::scope(|s| {
        s.spawn(move || {
            thread::sleep(Duration::from_millis(250));
            q.get().unwrap();
            thread::sleep(Duration::from_millis(350));
            q.task_done().unwrap();
        });
        q.join().unwrap();
    });
}

#[test]
fn a_simple_queue_keeps_the_order() {
    let _watchdog = Watchdog::start();
    let q = SimpleQueue::new().unwrap();
    (0..100).for_each(|i| q.put(i).unwrap());
    (0..100).for_each(|i| assert_eq!(q.get(), Ok(i)));
    assert!(q.empty());
}

#[test]
fn iterating_ends_when_the_last_producer_is_gone() {
    let _watchdog = Watchdog::start();
    let q = Queue::new(0).unwrap();
    q.put(1).unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            q.put(2).unwrap();
            q.close();
        });
        let mut got = Vec::new();
        for item in &q {
            got.push(item.unwrap());
        }
        assert_eq!(got, [1, 2]);
    });
    let mut items = q.iter();
    assert_eq!((items.next(), items.next()), (None, None));

    let simple = SimpleQueue::new().unwrap();
    simple.put("only".to_string()).unwrap();
    simple.close();
    let items: Vec<_> = simple.iter().collect();
    assert_eq!(items, [Ok("only".to_string())]);
}

/// Is sent as a number, and is a value only if that is even.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
struct Even(u8);

impl From<Even> for u8 {
    fn from(Even(n): Even) -> Self {
        n
    }
}

impl TryFrom<u8> for Even {
    type Error = String;

    fn try_from(n: u8) -> Result<Self, String> {
        n.is_multiple_of(2).then_some(Self(n)).ok_or("odd".into())
    }
}

#[test]
fn an_item_that_is_no_value_is_an_error_and_the_next_one_follows() {
    let _watchdog = Watchdog::start();
    let q = Queue::new(0).unwrap();
    for n in 1..=3 {
        q.put(Even(n)).unwrap();
    }
    q.close();
    let mut items = q.iter();
    assert!(matches!(items.next(), Some(Err(GetError::Decode(_)))));
    assert_eq!(items.next(), Some(Ok(Even(2))));
    assert!(matches!(items.next(), Some(Err(GetError::Decode(_)))));
    assert_eq!(items.next(), None);
}

#[test]
fn each_task_of_an_iteration_is_reported() {
    let _watchdog = Watchdog::start();
    let q = JoinableQueue::new(0).unwrap();
    (0..3).for_each(|n| q.put(n).unwrap());
    q.close();
    let mut taken = Vec::new();
    for task in &q {
        taken.push(task.unwrap());
        q.task_done().unwrap();
    }
    assert_eq!(taken, [0, 1, 2]);
    q.join().unwrap();
    assert_eq!(q.task_done(), Err(TaskDoneTooOften));
}
