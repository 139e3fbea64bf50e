//! The primitives under [loom](https://docs.rs/loom): the library's own source files,
//! compiled here a second time against loom's atomics and a futex made of loom's parts.
//! Loom tries every interleaving with a bounded number of preemptions. A wake-up that
//! can be lost shows up as a deadlock, a store that comes too late as a data race.
//!
//! Time has no place in loom. A sleep ends by a wake-up only, so that nothing heals what
//! the algorithms get wrong. There are two exceptions: the death of a process lets each
//! of the others wake once for a slice; and a deadline of no time at all has come.
#![allow(dead_code, reason = "the models use the waiting parts, not all of it")]
#![allow(unused_imports, reason = "the library exports them")]
#![allow(unreachable_pub, reason = "the files are public in the library")]
#![allow(missing_docs, reason = "the library documents them")]

#[path = "model_sys/error.rs"]
mod error;
/// No handle of a model is handed to another program.
mod handover {
    macro_rules! handle {
        ($($handle:tt)*) => {};
    }
    pub(crate) use handle;
}
#[path = "../src/sync/mod.rs"]
mod sync;
#[path = "model_sys/mod.rs"]
mod sys;
#[path = "../src/wait/mod.rs"]
mod wait;

pub use sync::*;
pub use wait::Acquired;

use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
use loom::thread;

use sys::futex::Deadline;
use sys::registry;
use wait::EventCount;

/// Tries the interleavings with up to this many preemptions.
fn model(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    // What a spin finds loom tries anyway.
    wait::set_spinning(false);
    builder.check(scenario);
}

/// What a lock protects. Loom reports it if two threads use it at once, or if one does
/// without having seen what the one before it did.
struct Protected(UnsafeCell<usize>);

// What the models are to prove.
#[expect(unsafe_code, reason = "loom's cell watches who uses it")]
// SAFETY: each model uses it under the primitive that it checks, and loom checks that.
unsafe impl Sync for Protected {}

impl Protected {
    fn new() -> Arc<Self> {
        Arc::new(Self(UnsafeCell::new(0)))
    }

    fn add_one(&self) {
        #[expect(unsafe_code, reason = "loom's cell watches who uses it")]
        self.0.with_mut(|value| {
            // SAFETY: loom has just checked that nobody else uses it.
            unsafe { *value += 1 }
        });
    }

    fn get(&self) -> usize {
        #[expect(unsafe_code, reason = "loom's cell watches who uses it")]
        self.0.with(|value| {
            // SAFETY: loom has just checked that nobody changes it.
            unsafe { *value }
        })
    }
}

#[test]
fn a_lock_has_one_holder_at_a_time_and_wakes_every_waiter() {
    model(2, || {
        let (lock, protected) = (Lock::new().unwrap(), Protected::new());
        let work = move |lock: Lock, protected: Arc<Protected>| {
            assert_eq!(lock.acquire(), Acquired::Clean);
            protected.add_one();
            lock.release().unwrap();
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (lock, protected) = (lock.clone(), Arc::clone(&protected));
                thread::spawn(move || work(lock, protected))
            })
            .collect();
        work(lock, Arc::clone(&protected));
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(protected.get(), 3);
    });
}

#[test]
fn a_guard_with_a_time_out_is_had_if_the_lock_is_free_and_frees_it() {
    model(2, || {
        let lock = Lock::new().unwrap();
        for _ in 0..2 {
            let held = lock.lock_timeout(Duration::ZERO).unwrap();
            assert!(!held.predecessor_died());
            assert!(lock.lock_timeout(Duration::ZERO).is_none());
        }
    });
}

#[test]
fn exactly_one_waiter_takes_the_lock_of_a_dead_holder() {
    model(2, || {
        let (lock, protected) = (Lock::new().unwrap(), Protected::new());
        lock.acquire();
        protected.add_one();
        let heirs: Vec<_> = (0..2)
            .map(|_| {
                let (lock, protected) = (lock.clone(), Arc::clone(&protected));
                thread::spawn(move || {
                    let acquired = lock.acquire();
                    protected.add_one();
                    lock.release().unwrap();
                    acquired == Acquired::PredecessorDied
                })
            })
            .collect();
        registry::die();
        let heirs = heirs.into_iter().map(|heir| heir.join().unwrap());
        assert_eq!(heirs.filter(|&heir| heir).count(), 1);
    });
}

#[test]
fn an_rlock_has_one_owner_at_a_time() {
    model(3, || {
        let (lock, protected) = (RLock::new().unwrap(), Protected::new());
        let work = |lock: &RLock, protected: &Protected| {
            let _outer = lock.lock();
            let _inner = lock.lock();
            protected.add_one();
        };
        let other = {
            let (lock, protected) = (lock.clone(), Arc::clone(&protected));
            thread::spawn(move || work(&lock, &protected))
        };
        work(&lock, &protected);
        work(&lock, &protected); // Having owned it before does not help.
        other.join().unwrap();
        assert_eq!(protected.get(), 3);
    });
}

#[test]
fn a_semaphore_of_one_permit_lets_one_in_at_a_time() {
    model(2, || {
        let (semaphore, protected) = (Semaphore::new(1).unwrap(), Protected::new());
        let work = move |semaphore: Semaphore, protected: Arc<Protected>| {
            let _permit = semaphore.permit();
            protected.add_one();
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (s, protected) = (semaphore.clone(), Arc::clone(&protected));
                thread::spawn(move || work(s, protected))
            })
            .collect();
        work(semaphore, Arc::clone(&protected));
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(protected.get(), 3);
    });
}

#[test]
fn every_release_of_a_semaphore_wakes_one_waiter() {
    // With two preemptions it takes minutes.
    model(1, || {
        let semaphore = Semaphore::new(0).unwrap();
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.acquire())
            })
            .collect();
        semaphore.release();
        semaphore.release();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(semaphore.get_value(), 0);
    });
}

#[test]
fn permits_given_back_one_after_the_other_wake_as_many_sleepers() {
    model(2, || {
        let semaphore = Semaphore::new(2).unwrap();
        let permits = (semaphore.permit(), semaphore.permit());
        // Only what happens after both have gone to sleep: the rest takes too long.
        loom::stop_exploring();
        let sleepers: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.acquire())
            })
            .collect();
        while sys::futex::sleepers() < 2 {
            thread::yield_now();
        }
        loom::explore();
        drop(permits);
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
}

#[test]
fn permits_beyond_the_places_count_like_the_others() {
    model(1, || {
        let semaphore = BoundedSemaphore::new(8).unwrap();
        let permit = semaphore.permit();
        for _ in 0..7 {
            assert!(semaphore.try_acquire());
        }
        assert!(!semaphore.try_acquire());
        drop(permit);
        for _ in 0..7 {
            semaphore.release().unwrap();
        }
        assert_eq!(semaphore.get_value(), 8);
        assert_eq!(semaphore.release(), Err(ReleasedTooOften));
        let permits: Vec<_> = (0..8).map(|_| semaphore.permit()).collect();
        assert_eq!(semaphore.get_value(), 0);
        drop(permits);
        assert_eq!(semaphore.get_value(), 8);
    });
}

#[test]
fn a_permit_that_was_taken_can_be_given_back_whatever_others_do() {
    model(2, || {
        let semaphore = BoundedSemaphore::new(2).unwrap();
        let work = |semaphore: &BoundedSemaphore| {
            semaphore.acquire();
            assert_eq!(semaphore.release(), Ok(()));
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || work(&semaphore))
            })
            .collect();
        work(&semaphore);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(semaphore.get_value(), 2);
        assert_eq!(semaphore.release(), Err(ReleasedTooOften));
    });
}

#[test]
fn the_permit_of_a_dead_process_comes_back() {
    model(3, || {
        let semaphore = Semaphore::new(1).unwrap();
        let permit = semaphore.permit();
        let waiter = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire())
        };
        registry::die();
        drop(permit); // This process is not its holder.
        waiter.join().unwrap();
        assert_eq!(semaphore.get_value(), 0);
    });
}

#[test]
fn a_semaphore_counts_right_whatever_step_a_process_is_killed_at() {
    for step in 0..12 {
        model(2, move || {
            let semaphore = Semaphore::new(1).unwrap();
            registry::killed_before(step, || drop(semaphore.permit()));
            assert!(semaphore.try_acquire(), "step {step}");
            assert!(!semaphore.try_acquire(), "step {step}");
        });
    }
}

#[test]
fn a_condition_loses_no_notification() {
    model(3, || {
        let (condition, flag) = (Condition::new().unwrap(), Protected::new());
        let notifier = {
            let (condition, flag) = (condition.clone(), Arc::clone(&flag));
            thread::spawn(move || {
                let _held = condition.lock();
                flag.add_one();
                condition.notify(1).unwrap();
            })
        };
        let held = condition.lock();
        condition.wait_for(|| flag.get() == 1).unwrap();
        drop(held);
        notifier.join().unwrap();
    });
}

#[test]
fn a_condition_wakes_as_many_waiters_as_were_notified() {
    model(1, || {
        let lock = RLock::new().unwrap();
        let ready = Condition::with_lock(&lock).unwrap();
        let go = Condition::with_lock(&lock).unwrap();
        let waiting = Protected::new();
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let (ready, go) = (ready.clone(), go.clone());
                let waiting = Arc::clone(&waiting);
                thread::spawn(move || {
                    let _held = go.lock();
                    waiting.add_one();
                    ready.notify(1).unwrap();
                    go.wait().unwrap(); // No predicate to fall back on.
                })
            })
            .collect();
        let held = lock.lock();
        ready.wait_for(|| waiting.get() == 2).unwrap();
        go.notify(1).unwrap();
        go.notify(1).unwrap();
        drop(held);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn a_condition_wakes_no_more_waiters_than_were_notified_though_slices_end() {
    model(1, || {
        let lock = RLock::new().unwrap();
        let ready = Condition::with_lock(&lock).unwrap();
        let go = Condition::with_lock(&lock).unwrap();
        let (waiting, returned) = (Protected::new(), Protected::new());
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let (ready, go) = (ready.clone(), go.clone());
                let waiting = Arc::clone(&waiting);
                let returned = Arc::clone(&returned);
                thread::spawn(move || {
                    let _held = go.lock();
                    waiting.add_one();
                    ready.notify(1).unwrap();
                    go.wait().unwrap(); // No predicate to fall back on.
                    returned.add_one();
                    ready.notify(1).unwrap();
                })
            })
            .collect();
        let held = lock.lock();
        ready.wait_for(|| waiting.get() == 2).unwrap();
        sys::futex::end_slices(1);
        go.notify(1).unwrap();
        ready.wait_for(|| returned.get() > 0).unwrap();
        assert_eq!(returned.get(), 1);
        go.notify(1).unwrap();
        drop(held);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn a_notification_of_a_dead_waiter_is_not_lost_to_one_that_comes_later() {
    model(2, || {
        let condition = Condition::new().unwrap();
        let held = condition.lock();
        let other = {
            let condition = condition.clone();
            thread::spawn(move || {
                let _held = condition.lock();
                condition.notify(1).unwrap();
                // From here on no place is free.
                condition.wait().unwrap();
            })
        };
        // Its eighth change is to take the lock again: it has been notified by then.
        registry::killed_before(7, || condition.wait().unwrap());
        drop(held); // This process does not hold it.
        let held = condition.lock();
        let _either = condition.wait_timeout(Duration::ZERO).unwrap();
        drop(held);
        other.join().unwrap();
    });
}

#[test]
fn waiters_beyond_the_places_of_a_condition_return_after_a_notification_only() {
    model(1, || {
        let condition = Condition::new().unwrap();
        // Only what happens once all sleep: the rest takes too long.
        loom::stop_exploring();
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let condition = condition.clone();
                thread::spawn(move || {
                    let _held = condition.lock();
                    condition.wait().unwrap();
                })
            })
            .collect();
        while sys::futex::sleepers() < 3 {
            thread::yield_now();
        }
        loom::explore();
        let held = condition.lock();
        assert_eq!(condition.wait_timeout(Duration::ZERO), Ok(false));
        condition.notify_all().unwrap();
        drop(held);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn an_event_wakes_all_waiters_and_shows_them_what_was_done_before() {
    model(3, || {
        let (event, protected) = (Event::new().unwrap(), Protected::new());
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let (event, protected) = (event.clone(), Arc::clone(&protected));
                thread::spawn(move || {
                    event.wait();
                    assert_eq!(protected.get(), 1);
                })
            })
            .collect();
        protected.add_one();
        event.set();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn an_event_that_is_cleared_at_once_still_wakes_earlier_waiters() {
    model(3, || {
        let event = Event::new().unwrap();
        let waiter = {
            let event = event.clone();
            thread::spawn(move || event.wait())
        };
        let is_there = sys::futex::sleepers() > 0;
        event.set();
        if is_there {
            event.clear();
        }
        waiter.join().unwrap();
    });
}

#[test]
fn an_event_that_is_cleared_and_set_again_wakes_every_waiter() {
    model(3, || {
        let event = Event::new().unwrap();
        let waiter = {
            let event = event.clone();
            thread::spawn(move || event.wait())
        };
        event.set();
        event.clear();
        event.set();
        waiter.join().unwrap();
    });
}

#[test]
fn an_eventcount_that_notifies_all_wakes_every_sleeper() {
    model(2, || {
        let shared = Arc::new((EventCount::new(), AtomicUsize::new(0)));
        let sleepers: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (event, changed) = &*shared;
                    let has_changed = || changed.load(Ordering::Relaxed) == 1;
                    while !has_changed() {
                        event.sleep_unless(has_changed, Deadline::Never);
                    }
                    event.notify_all();
                })
            })
            .collect();
        shared.1.store(1, Ordering::Relaxed);
        shared.0.notify_all();
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
}

/// Sleepers that take one item each, and wake another if they leave any.
#[test]
fn an_eventcount_that_wakes_the_latest_sleeper_leaves_no_other_asleep() {
    model(2, || {
        let (sleepers, items) = (EventCount::new(), AtomicUsize::new(0));
        let shared = Arc::new((sleepers, items));
        let notify = |sleepers: &EventCount| {
            fence(Ordering::SeqCst);
            sleepers.notify_latest_relaxed();
        };
        let others: Vec<_> = (0..2)
            .map(|number| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (sleepers, items) = &*shared;
                    let there = || items.load(Ordering::Relaxed) > 0;
                    let take = |left: usize| left.checked_sub(1);
                    let relaxed = Ordering::Relaxed;
                    while items.fetch_update(relaxed, relaxed, take).is_err() {
                        let _any_reason =
                            sleepers.sleep_as(number, there, Deadline::Never);
                    }
                    if there() {
                        notify(sleepers);
                    }
                })
            })
            .collect();
        let (sleepers, items) = &*shared;
        for _ in 0..2 {
            items.fetch_add(1, Ordering::Relaxed);
            notify(sleepers);
        }
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_barrier_lets_both_parties_pass_round_after_round() {
    model(3, || {
        let barrier = Barrier::new(2).unwrap();
        let arrived = Arc::new(AtomicUsize::new(0));
        let party = |barrier: &Barrier, arrived: &AtomicUsize| {
            let mut sum = 0;
            for round in 1..=2 {
                arrived.fetch_add(1, Ordering::Relaxed);
                sum += barrier.wait().unwrap();
                assert!(arrived.load(Ordering::Relaxed) >= 2 * round);
            }
            sum
        };
        let other = {
            let (barrier, arrived) = (barrier.clone(), Arc::clone(&arrived));
            thread::spawn(move || party(&barrier, &arrived))
        };
        let sum = party(&barrier, &arrived);
        assert_eq!(
            sum + other.join().unwrap(),
            2,
            "one first and one last a round"
        );
    });
}

#[test]
fn a_waiter_that_looks_late_sees_how_its_own_round_ended() {
    model(2, || {
        let barrier = Barrier::new(2).unwrap();
        let waiter = {
            let barrier = barrier.clone();
            thread::spawn(move || barrier.wait())
        };
        barrier.wait().unwrap();
        barrier.abort();
        assert!(waiter.join().unwrap().is_ok());
    });
}

#[test]
fn the_places_of_dead_waiters_are_taken_again() {
    model(1, || {
        let barrier = Barrier::new(2).unwrap();
        // There are three places. Its second change would count it.
        for _ in 0..3 {
            registry::killed_before(1, || {
                barrier.wait().unwrap();
            });
            barrier.abort();
            barrier.reset();
        }
        let waiter = {
            let barrier = barrier.clone();
            thread::spawn(move || barrier.wait())
        };
        barrier.wait().unwrap();
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn an_aborted_barrier_holds_no_waiter() {
    model(3, || {
        let barrier = Barrier::new(2).unwrap();
        let waiter = {
            let barrier = barrier.clone();
            thread::spawn(move || barrier.wait())
        };
        barrier.abort();
        assert_eq!(waiter.join().unwrap(), Err(BarrierBroken));
        barrier.reset();
        assert!(!barrier.broken());
    });
}

#[test]
fn an_abort_that_a_dead_process_began_is_finished_by_others() {
    for step in 0..8 {
        model(2, move || {
            let barrier = Barrier::new(2).unwrap();
            let waiter = {
                let barrier = barrier.clone();
                thread::spawn(move || barrier.wait())
            };
            registry::killed_before(step, || barrier.abort());
            if barrier.broken() {
                assert_eq!(waiter.join().unwrap(), Err(BarrierBroken));
            } else {
                barrier.wait().unwrap();
                waiter.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn a_party_that_is_killed_while_it_gives_up_leaves_no_waiter_behind() {
    // Its third change takes a place.
    for step in 3..14 {
        model(2, move || {
            let barrier = Barrier::new(3).unwrap();
            let waiter = {
                let barrier = barrier.clone();
                thread::spawn(move || barrier.wait())
            };
            if barrier.n_waiting() == 1 {
                registry::killed_before(step, || {
                    let broken = barrier.wait_timeout(Duration::ZERO);
                    assert_eq!(broken, Err(BarrierBroken));
                });
                // Takes the lock from the dead: the waiter has only one slice.
                let _any_answer = barrier.broken();
            } else {
                barrier.abort();
            }
            assert_eq!(waiter.join().unwrap(), Err(BarrierBroken));
        });
    }
}
