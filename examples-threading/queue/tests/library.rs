//! What the queues promise beyond their doc tests: order, time-outs, panics. The
//! interleavings of their waits are tried in `model.rs`.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use std::{fs, hint, thread};

use proptest::prelude::*;
use queue::{GetError, LifoQueue, PriorityQueue, PutError, Queue};

const SOON: Duration = Duration::from_millis(20);
/// Far more than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(10);

#[test]
fn waits_with_a_time_out_end_and_take_nothing() {
    let start = Instant::now();
    let queue = Queue::new(1);
    assert_eq!(queue.get_timeout(SOON), Err(GetError::Empty));
    queue.put("first").unwrap();
    let full = queue.put_timeout("second", SOON).unwrap_err();
    assert_eq!(full, PutError::Full("second"));
    assert_eq!((full.into_item(), queue.qsize()), ("second", 1));
    assert!(start.elapsed() >= SOON * 2);
}

/// How often the scheduler gave this thread's core to another one although this thread
/// could have gone on. A yield counts as that.
fn involuntary_switches() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let count = |line: &str| {
        line.strip_prefix("nonvoluntary_ctxt_switches:")
            .map(|count| count.trim().parse().unwrap())
    };
    status.lines().find_map(count).unwrap()
}

#[test]
fn a_wait_with_a_time_out_does_not_yield_its_core_to_busy_threads() {
    const WAITS: u64 = 20;
    let (over, start) = (AtomicBool::new(false), Instant::now());
    let (waited_in_vain, switches) = thread::scope(|s| {
        for _ in 0..2 * thread::available_parallelism().unwrap().get() {
            s.spawn(|| {
                while !over.load(Relaxed) && start.elapsed() < HANG {
                    hint::spin_loop();
                }
            });
        }
        let before = involuntary_switches();
        // A queue's first wait spins for longest, so each has a new one.
        let waits = (0..WAITS).map(|_| Queue::<()>::new(0).get_timeout(SOON / 20));
        let in_vain = waits.filter(Result::is_err).count();
        let switches = involuntary_switches() - before;
        over.store(true, Relaxed);
        (in_vain as u64, switches)
    });
    assert_eq!(waited_in_vain, WAITS);
    // A wait that yields before each look does so ten times. Some others are due to
    // threads that wake up.
    assert!(switches < 2 * WAITS, "{switches} switches in {WAITS} waits");
}

#[test]
fn an_item_whose_order_panics_leaves_the_queue_usable() {
    #[derive(PartialEq, Eq)]
    struct Picky(i32);
    impl PartialOrd for Picky {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Picky {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            assert!(self.0 >= 0 && other.0 >= 0, "not an order");
            self.0.cmp(&other.0)
        }
    }

    let queue = PriorityQueue::new(0);
    queue.put(Picky(1)).unwrap();
    thread::scope(|s| {
        assert!(s.spawn(|| queue.put(Picky(-1))).join().is_err());
    });
    assert!(queue.get_timeout(HANG).is_ok());
}

#[test]
fn an_item_that_one_getter_declines_wakes_another() {
    for _ in 0..20 {
        let queue = Queue::new(0);
        thread::scope(|s| {
            let declines = s.spawn(|| queue.get_timeout_if(HANG, || false));
            // It waits first, and so is woken first on most systems.
            thread::sleep(Duration::from_millis(5));
            let takes = s.spawn(|| queue.get_timeout(HANG));
            thread::sleep(Duration::from_millis(5));
            let start = Instant::now();
            queue.put(1).unwrap();
            assert_eq!(takes.join().unwrap(), Ok(1));
            assert!(start.elapsed() < HANG / 2, "the item lay beside a getter");
            // If the other was woken first, this one still waits.
            queue.put(2).unwrap();
            assert_eq!(declines.join().unwrap(), Ok(None));
        });
    }
}

#[test]
fn a_getter_whose_time_is_up_takes_no_wake_up_away() {
    const TIME: Duration = Duration::from_millis(2);
    for round in 0..100 {
        let queue = Queue::new(0);
        thread::scope(|s| {
            let start = Instant::now();
            let hasty = s.spawn(|| queue.get_timeout(TIME));
            // Behind the other, which is woken first on most systems.
            thread::sleep(TIME / 4);
            let patient = s.spawn(|| queue.get_timeout(HANG));
            let just_now = TIME + Duration::from_micros(2 * round);
            thread::sleep(just_now.saturating_sub(start.elapsed()));
            queue.put(1).unwrap();
            if hasty.join().unwrap().is_ok() {
                queue.put(1).unwrap();
            }
            assert_eq!(patient.join().unwrap(), Ok(1));
            assert!(start.elapsed() < HANG, "the getter slept beside the item");
        });
    }
}

#[test]
fn an_item_that_is_put_back_is_the_next_and_wakes_a_getter() {
    let queue = Queue::new(1);
    queue.put(1).unwrap();
    let first = queue.get_timeout(HANG).unwrap();
    queue.put(2).unwrap();
    // Beyond the size of the queue: the item was in it before.
    queue.put_back(first);
    let both = [queue.get_timeout(HANG), queue.get_timeout(HANG)];
    assert_eq!(both, [Ok(1), Ok(2)]);
    thread::scope(|s| {
        let waits = s.spawn(|| queue.get_timeout(HANG));
        thread::sleep(Duration::from_millis(5));
        let start = Instant::now();
        queue.put_back(3);
        assert_eq!(waits.join().unwrap(), Ok(3));
        assert!(
            start.elapsed() < HANG / 2,
            "the getter slept beside the item"
        );
    });
}

proptest! {
    #[test]
    fn queues_give_their_order(items: Vec<i32>) {
        let (fifo, lifo, smallest) =
            (Queue::new(0), LifoQueue::new(0), PriorityQueue::new(0));
        for &item in &items {
            fifo.put(item).unwrap();
            lifo.put(item).unwrap();
            smallest.put(item).unwrap();
        }
        let mut expected = items;
        let all = |get: &dyn Fn() -> Result<i32, GetError>| {
            std::iter::from_fn(|| get().ok()).collect::<Vec<_>>()
        };
        prop_assert_eq!(all(&|| fifo.get_nowait()), expected.clone());
        expected.reverse();
        prop_assert_eq!(all(&|| lifo.get_nowait()), expected.clone());
        expected.sort_unstable();
        prop_assert_eq!(all(&|| smallest.get_nowait()), expected);
    }
}

#[test]
fn at_a_shutdown_every_item_that_was_put_is_got_or_given_back() {
    for round in 0..100 {
        let (queue, start) = (Queue::new(8), Instant::now());
        let (put, got, left) = thread::scope(|s| {
            let producers = [0, 1].map(|_| {
                s.spawn(|| {
                    let is_put = |i: &u64| queue.put_timeout(*i, HANG).is_ok();
                    (0..u64::MAX).take_while(is_put).count()
                })
            });
            let consumers = [0, 1].map(|_| {
                s.spawn(|| {
                    std::iter::from_fn(|| queue.get_timeout(HANG).ok())
                        .map(|_| queue.task_done().unwrap())
                        .count()
                })
            });
            thread::sleep(Duration::from_micros(round * 10));
            let left = queue.shutdown_immediate().len();
            let put: usize = producers.map(|p| p.join().unwrap()).iter().sum();
            let got: usize = consumers.map(|c| c.join().unwrap()).iter().sum();
            (put, got, left)
        });
        assert_eq!((put, 0), (got + left, queue.qsize()));
        assert!(queue.join_timeout(HANG));
        assert!(start.elapsed() < HANG, "a thread was not woken");
    }
}

#[test]
fn a_queue_with_room_for_some_never_holds_more() {
    let queue = Queue::new(3);
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| (0..2000).for_each(|i| queue.put_timeout(i, HANG).unwrap()));
        }
        for _ in 0..4000 {
            assert!(queue.qsize() <= 3);
            queue.get_timeout(HANG).unwrap();
        }
    });
}

#[test]
fn every_kind_of_queue_counts_its_items() {
    let (fifo, lifo, smallest) =
        (Queue::new(0), LifoQueue::new(0), PriorityQueue::new(0));
    assert!(fifo.empty() && lifo.empty() && smallest.empty());
    for count in 1..=3 {
        fifo.put(count).unwrap();
        lifo.put(count).unwrap();
        smallest.put(count).unwrap();
        assert_eq!([fifo.qsize(), lifo.qsize(), smallest.qsize()], [count; 3]);
        assert!(!fifo.empty() && !lifo.empty() && !smallest.empty());
    }
    assert!(!fifo.full(), "there is room for any number");
    let two = Queue::new(2);
    for full in [false, true] {
        two.put(()).unwrap();
        assert_eq!(two.full(), full);
    }
}
