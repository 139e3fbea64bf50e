//! Every kind of failure in one test.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use multiprocessing::broker::Queue;
use nix::sys::signal::{Signal, kill};
use tutorial::harness::Random;

use crate::server::{Server, Worker, effects, processes_of};
use crate::{Claim, builder, effect};

pub(crate) const CLAIMS: &[Claim] =
    &[("ten_thousand_tasks_survive_a_killer_of_everything", storm)];

const TASKS: u64 = 10_000;
const BROKER_KILLS: u32 = 20;

fn storm() {
    let mut server = Server::start();
    let url = server.url();
    let options = [("LEASE", "1000"), ("PROCESSES", "2")];
    let file = server.file("effects");
    let mut random = Random::seeded();
    let pool = builder(&url).deliveries(1000).start().unwrap();
    let finished = AtomicBool::new(false);
    let start = Instant::now();

    let (mut process_kills, mut worker_kills, mut broker_kills) = (0, 0, 0);
    let values: Vec<u64> = thread::scope(|scope| {
        let (pool, finished, file) = (&pool, &finished, &file);
        let sender = scope.spawn(move || {
            let mut values = Vec::new();
            // Tasks are submitted in pieces, so that the kills meet tasks at all stages.
            for piece in 0..TASKS / 500 {
                let numbers = piece * 500..(piece + 1) * 500;
                let results: Vec<_> = numbers
                    .map(|n| pool.apply_async(effect, (file.clone(), n)))
                    .collect();
                values
                    .extend(results.into_iter().map(|result| result.get().unwrap()));
                sleep(Duration::from_millis(100));
            }
            finished.store(true, Ordering::Release);
            values
        });
        let mut workers: Vec<_> =
            (0..3).map(|_| Worker::start(&url, &options)).collect();
        while !finished.load(Ordering::Acquire) {
            sleep(Duration::from_millis(1 + random.below(50)));
            match random.below(30) {
                0..24 => {
                    let worker = &workers[random.below(3) as usize];
                    let processes = processes_of(worker.pid());
                    if !processes.is_empty() {
                        let victim = random.below(processes.len() as u64) as usize;
                        kill(processes[victim], Signal::SIGKILL).ok();
                        process_kills += 1;
                    }
                }
                24..27 => {
                    let victim = random.below(3) as usize;
                    workers[victim].kill();
                    workers[victim] = Worker::start(&url, &options);
                    worker_kills += 1;
                }
                _ if broker_kills < BROKER_KILLS => {
                    server.kill();
                    sleep(Duration::from_millis(random.below(200)));
                    server.restart();
                    broker_kills += 1;
                    // A worker that found no broker at its start has ended.
                    for worker in &mut workers {
                        if worker.has_ended() {
                            *worker = Worker::start(&url, &options);
                        }
                    }
                }
                _ => {}
            }
        }
        sender.join().unwrap()
    });
    println!(
        "{TASKS} tasks in {:?}, killed: {process_kills} processes, {worker_kills} \
         workers, {broker_kills} brokers",
        start.elapsed()
    );
    assert_eq!(values, (0..TASKS).collect::<Vec<_>>());
    let mut times = HashMap::new();
    for line in effects(&file) {
        // A process may be killed in the middle of a line.
        if let Some((number, _)) = line.split_once(' ') {
            *times.entry(number.to_owned()).or_insert(0) += 1;
        }
    }
    let missing: Vec<_> = (0..TASKS)
        .filter(|n| !times.contains_key(&n.to_string()))
        .collect();
    assert!(missing.is_empty(), "no effect: {missing:?}");
    let twice = times.values().filter(|times| **times > 1).count();
    println!("{twice} tasks had their effect more than once");
    let stats = Queue::open(&url, "default").unwrap().stats().unwrap();
    assert_eq!((stats.done, stats.failed), (TASKS, 0), "each ended once");
}
