//! What does it cost to hand something over, between threads and between processes?

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bench::sys::{Message, PingPong, Ring, Wait};
use bench::{
    Bench, Part, Results, Row, Scenario, race_processes, race_threads, share,
};
use crossbeam::channel;
use ipc_channel::ipc;
use multiprocessing::{RawValue, cpu_count, pipe};
use nix::unistd;
use queue::Queue;
use serde_bytes::ByteBuf;

use crate::work::{spinning, without_spinning};

const QUESTION: &str = "queues";

/// As many items as a queue holds at a time.
const SIZE: usize = 1024;

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let many = cpu_count().max(2);
    for (producers, consumers) in [(1, 1), (many, 1), (many, many)] {
        let sides = Sides {
            producers,
            consumers,
        };
        threads::<8>(sides, bench);
        threads::<4096>(sides, bench);
        between_processes(sides, 64, bench)?;
        between_processes(sides, 64 << 10, bench)?;
    }
    thread_round_trip(bench);
    process_round_trip(Duration::ZERO, bench)?;
    process_round_trip(REST, bench)
}

#[derive(Clone, Copy)]
struct Sides {
    producers: usize,
    consumers: usize,
}

impl Sides {
    fn name(self, by: &str, size: usize) -> String {
        let size = match size {
            size if size < 1024 => format!("{size} B"),
            size => format!("{} KiB", size >> 10),
        };
        format!("{by} {}→{}, {size}", self.producers, self.consumers)
    }

    /// Has the producers put and the consumers get so many items together, each its
    /// share.
    fn race<'a>(
        self,
        race: fn(Vec<Part<'_>>) -> anyhow::Result<(Duration, u64)>,
        times: u64,
        put: impl Fn() -> anyhow::Result<()> + Copy + Send + 'a,
        get: impl Fn() -> anyhow::Result<u64> + Copy + Send + 'a,
    ) -> anyhow::Result<(Duration, u64)> {
        let producers = (0..self.producers).map(|producer| -> Part<'_> {
            Box::new(move || {
                for _ in 0..share(times, self.producers, producer) {
                    put()?;
                }
                Ok(0)
            })
        });
        let consumers = (0..self.consumers).map(|consumer| -> Part<'_> {
            Box::new(move || {
                (0..share(times, self.consumers, consumer))
                    .try_fold(0, |sum, _| Ok(sum + get()?))
            })
        });
        race(producers.chain(consumers).collect())
    }
}

/// An item of which nothing but the last byte is set, to one.
fn item<const N: usize>() -> [u8; N] {
    let mut item = [0; N];
    item[N - 1] = 1;
    item
}

fn last(item: &[u8]) -> u64 {
    item.last().copied().map_or(0, u64::from)
}

fn threads<const N: usize>(sides: Sides, bench: &mut Bench) {
    let one_receiver =
        "a std receiver belongs to one thread, several share it under a Mutex";
    let std = Row::new("std sync_channel", move |times| {
        let (sender, receiver) = mpsc::sync_channel::<[u8; N]>(SIZE);
        let receiver = &Mutex::new(receiver);
        let sender = &sender;
        sides.race(
            race_threads,
            times,
            move || Ok(sender.send(item())?),
            move || Ok(last(&receiver.lock().unwrap().recv()?)),
        )
    });
    let unbounded = Row::new("std channel", move |times| {
        let (sender, receiver) = mpsc::channel::<[u8; N]>();
        let receiver = &Mutex::new(receiver);
        let sender = &sender;
        sides.race(
            race_threads,
            times,
            move || Ok(sender.send(item())?),
            move || Ok(last(&receiver.lock().unwrap().recv()?)),
        )
    });
    let crossbeam = Row::new("crossbeam", move |times| {
        let (sender, receiver) = channel::bounded::<[u8; N]>(SIZE);
        let (sender, receiver) = (&sender, &receiver);
        sides.race(
            race_threads,
            times,
            move || Ok(sender.send(item())?),
            move || Ok(last(&receiver.recv()?)),
        )
    });
    let ours = Row::new("Queue", move |times| {
        let queue = &Queue::<[u8; N]>::new(SIZE);
        sides.race(
            race_threads,
            times,
            move || queue.put(item()).map_err(|_| anyhow::anyhow!("shut down")),
            move || Ok(last(&queue.get()?)),
        )
    });
    let Sides {
        producers,
        consumers,
    } = sides;
    let scenario = Scenario::new(
        QUESTION,
        sides.name("threads", N),
        "one item handed over, at most 1024 waiting",
        1,
    )
    .budget(Duration::from_secs(2))
    .row(if consumers == 1 {
        std
    } else {
        std.note(one_receiver)
    })
    .row(unbounded.note("any number of items may wait"))
    .row(crossbeam)
    .row(ours.python(format!("queues.threads {producers} {consumers} {N} {SIZE}")));
    let scenario = scenario.says(|results| {
        let ours = results.median("Queue");
        format!(
            "Our Queue takes {} as long as std's channel and {} as long as crossbeam's.",
            results.times(ours, results.median("std sync_channel")),
            results.times(ours, results.median("crossbeam")),
        )
    });
    bench.scenario(scenario.says(|results| {
        let ours = results.median("Queue");
        let python = results.times(results.python("Queue"), ours);
        format!("Python's Queue takes {python} as long as ours.")
    }));
}

fn between_processes(
    sides: Sides,
    size: usize,
    bench: &mut Bench,
) -> anyhow::Result<()> {
    let mut bytes = vec![0_u8; size];
    bytes[size - 1] = 1;
    let bytes = &bytes;
    let Sides {
        producers,
        consumers,
    } = sides;
    let (receiver, sender) = &pipe(false)?;
    let (reader, writer) = &unistd::pipe()?;
    let connection = Row::new("Pipe", move |times| {
        sides.race(
            race_processes,
            times,
            move || Ok(sender.send_bytes(bytes)?),
            move || Ok(last(&receiver.recv_bytes()?)),
        )
    });
    let queue = &multiprocessing::Queue::<ByteBuf>::new(SIZE)?;
    let through_queue = move |times| {
        sides.race(
            race_processes,
            times,
            move || Ok(queue.put(ByteBuf::from(bytes.as_slice()))?),
            move || Ok(last(&queue.get()?)),
        )
    };
    let ours = Row::new("Queue", through_queue);
    let mut scenario = Scenario::new(
        QUESTION,
        sides.name("processes", size),
        "one item handed over",
        1,
    )
    .budget(Duration::from_secs(2))
    .row(
        connection
            .python(format!("queues.pipe {producers} {consumers} {size}"))
            .note("as many items wait as fit the socket"),
    )
    .row(ours.python(format!(
        "queues.processes {producers} {consumers} {size} {SIZE}"
    )));
    if producers + consumers > cpu_count() {
        let unspun = move |times| without_spinning(|| through_queue(times));
        scenario = scenario.row(Row::new("Queue, never spinning", unspun));
    }
    scenario = scenario.row(if consumers == 1 {
        Row::new("ipc-channel", move |times| {
            let (sender, receiver) = ipc::bytes_channel()?;
            // Neither end is shared between threads, and no part of them is in one.
            let ends = Mutex::new((sender, receiver));
            let ends = &ends;
            sides.race(
                race_processes,
                times,
                move || Ok(ends.lock().unwrap().0.send(bytes)?),
                move || Ok(last(&ends.lock().unwrap().1.recv()?)),
            )
        })
    } else {
        Row::absent("ipc-channel", "its receiver belongs to one process")
    });
    if (producers, consumers) == (1, 1) && size == size_of::<Message>() {
        scenario = scenario.row(
            Row::new("ring in shared memory", |times| {
                let ring = &Ring::new()?;
                let parts: Vec<Part<'_>> = vec![
                    Box::new(move || {
                        ring.produce(times, &[1; 8]);
                        Ok(0)
                    }),
                    Box::new(move || Ok(ring.consume(times))),
                ];
                race_processes(parts)
            })
            .limit()
            .note("both sides spin and know only each other"),
        );
    }
    if size <= PIPE_BUF {
        scenario = scenario.row(Row::new("raw pipe", move |times| {
            sides.race(
                race_processes,
                times,
                move || write(writer, bytes),
                move || read(reader, size),
            )
        }));
    }
    let scenario = scenario.says(beside_ipc_channel).says(beside_python);
    bench.scenario(scenario.says(|results| spinning(results, "Queue")));
    Ok(())
}

/// What a pipe takes whole, however many write to it.
const PIPE_BUF: usize = 4096;

fn write(writer: &OwnedFd, bytes: &[u8]) -> anyhow::Result<()> {
    ensure!(unistd::write(writer, bytes)? == bytes.len(), "a torn write");
    Ok(())
}

fn read(reader: &OwnedFd, size: usize) -> anyhow::Result<u64> {
    let mut bytes = [0; PIPE_BUF];
    let bytes = &mut bytes[..size];
    ensure!(unistd::read(reader.as_fd(), bytes)? == size, "a torn read");
    Ok(last(bytes))
}

fn beside_ipc_channel(results: &Results) -> String {
    let (pipe, queue) = (results.median("Pipe"), results.median("Queue"));
    let channel = results.median("ipc-channel");
    format!(
        "Over ipc-channel it takes {} as long as over our Queue and {} as long as over \
         our Pipe.",
        results.times(channel, queue),
        results.times(channel, pipe),
    )
}

fn beside_python(results: &Results) -> String {
    let (pipe, queue) = (results.median("Pipe"), results.median("Queue"));
    format!(
        "Over Python's Queue it takes {} as long as over ours, over its Pipe {}.",
        results.times(results.python("Queue"), queue),
        results.times(results.python("Pipe"), pipe),
    )
}

/// Asks and gets the answer so many times, after a rest each time. What is timed is
/// from the question to the answer, and with no rest the whole, so that the clock
/// itself does not count.
fn round_trips<'a>(
    race: fn(Vec<Part<'_>>) -> anyhow::Result<(Duration, u64)>,
    rest: Duration,
    times: u64,
    ask: impl Fn() -> anyhow::Result<u64> + Send + 'a,
    reply: impl Fn() -> anyhow::Result<()> + Send + 'a,
) -> anyhow::Result<(Duration, u64)> {
    let asked = &RawValue::new(0_u64)?;
    let parts: Vec<Part<'_>> = vec![
        Box::new(move || {
            (0..times).try_fold(0, |sum, _| {
                if rest.is_zero() {
                    return Ok(sum + ask()?);
                }
                thread::sleep(rest);
                let start = Instant::now();
                let answer = ask()?;
                asked.set(asked.get() + start.elapsed().as_nanos() as u64);
                Ok(sum + answer)
            })
        }),
        Box::new(move || {
            for _ in 0..times {
                reply()?;
            }
            Ok(0)
        }),
    ];
    let (took, sum) = race(parts)?;
    if rest.is_zero() {
        return Ok((took, sum));
    }
    Ok((Duration::from_nanos(asked.get()), sum))
}

/// Long enough for the other side to fall asleep.
const REST: Duration = Duration::from_millis(1);

fn thread_round_trip(bench: &mut Bench) {
    const AWAKE: Duration = Duration::ZERO;
    let std = Row::new("std sync_channel", |times| {
        let (to, at) = mpsc::sync_channel::<u64>(1);
        let (back, home) = mpsc::sync_channel::<u64>(1);
        let ask = move || {
            to.send(1)?;
            Ok(home.recv()?)
        };
        let reply = move || Ok(back.send(at.recv()?)?);
        round_trips(race_threads, AWAKE, times, ask, reply)
    });
    let crossbeam = Row::new("crossbeam", |times| {
        let (to, at) = channel::bounded::<u64>(1);
        let (back, home) = channel::bounded::<u64>(1);
        let ask = move || {
            to.send(1)?;
            Ok(home.recv()?)
        };
        let reply = move || Ok(back.send(at.recv()?)?);
        round_trips(race_threads, AWAKE, times, ask, reply)
    });
    let ours = Row::new("Queue", |times| {
        let (there, back) = (&Queue::<u64>::new(1), &Queue::<u64>::new(1));
        let ask = move || {
            there.put(1)?;
            Ok(back.get()?)
        };
        let reply = move || Ok(back.put(there.get()?)?);
        round_trips(race_threads, AWAKE, times, ask, reply)
    });
    let scenario = Scenario::new(
        QUESTION,
        "threads, round trip",
        "one item there and back",
        1,
    )
    .row(std)
    .row(crossbeam)
    .row(ours.python("queues.threads_round_trip"));
    bench.scenario(scenario.says(|results| {
        let ours = results.median("Queue");
        format!(
            "An answer from another thread takes Python's Queue {} as long as ours.",
            results.times(results.python("Queue"), ours)
        )
    }));
}

fn process_round_trip(rest: Duration, bench: &mut Bench) -> anyhow::Result<()> {
    let (here, there) = &pipe(true)?;
    let connection = Row::new("Pipe", move |times| {
        let ask = || {
            here.send_bytes(&item::<64>())?;
            Ok(last(&here.recv_bytes()?))
        };
        let reply = || Ok(there.send_bytes(&there.recv_bytes()?)?);
        round_trips(race_processes, rest, times, ask, reply)
    });
    let (forth, back) = (
        &multiprocessing::Queue::<ByteBuf>::new(0)?,
        &multiprocessing::Queue::<ByteBuf>::new(0)?,
    );
    let queue = Row::new("Queue", move |times| {
        let ask = || {
            forth.put(ByteBuf::from(item::<64>()))?;
            Ok(last(&back.get()?))
        };
        let reply = || Ok(back.put(forth.get()?)?);
        round_trips(race_processes, rest, times, ask, reply)
    });
    let channel = Row::new("ipc-channel", move |times| {
        let (to, at) = ipc::bytes_channel()?;
        let (back, home) = ipc::bytes_channel()?;
        let ask = move || {
            to.send(&item::<64>())?;
            Ok(last(&home.recv()?))
        };
        let reply = move || Ok(back.send(&at.recv()?)?);
        round_trips(race_processes, rest, times, ask, reply)
    });
    let (at, to) = &unistd::pipe()?;
    let (home, from) = &unistd::pipe()?;
    let raw = Row::new("raw pipe", move |times| {
        let ask = || {
            write(to, &item::<64>())?;
            read(home, 64)
        };
        let reply = || {
            read(at, 64)?;
            write(from, &item::<64>())
        };
        round_trips(race_processes, rest, times, ask, reply)
    });
    let ping_pong = |wait: Wait| {
        move |times: u64| {
            let word = &PingPong::new()?;
            let (asked, answered) = (Cell::new(0), Cell::new(0));
            let ask = move || {
                asked.set(asked.get() + 2);
                word.put(asked.get() - 1, wait);
                word.wait_for(asked.get(), wait);
                Ok(1)
            };
            let reply = move || {
                answered.set(answered.get() + 2);
                word.wait_for(answered.get() - 1, wait);
                word.put(answered.get(), wait);
                Ok(())
            };
            round_trips(race_processes, rest, times, ask, reply)
        }
    };
    let futex = Row::new("futex ping-pong", ping_pong(Wait::Sleep));
    let futex = futex.note("no message, only a word that changes");
    let (name, work) = if rest.is_zero() {
        ("awake", "64 bytes there and back, again and again")
    } else {
        ("asleep", "64 bytes there and back, once a millisecond")
    };
    let mut scenario =
        Scenario::new(QUESTION, format!("processes, round trip, {name}"), work, 1)
            .row(
                connection.python(format!(
                    "queues.pipe_round_trip 64 {}",
                    rest.as_micros()
                )),
            )
            .row(queue.python(format!(
                "queues.processes_round_trip 64 {}",
                rest.as_micros()
            )))
            .row(channel)
            .row(raw);
    if rest.is_zero() {
        let spin = Row::new("spinning ping-pong", ping_pong(Wait::Spin));
        scenario = scenario.row(futex).row(
            spin.limit()
                .note("no message, only a word, and each side needs a core"),
        );
    } else {
        // Nearly all of it is rest, which is not counted.
        scenario = scenario
            .row(futex.limit())
            .budget(Duration::from_millis(300));
    }
    let scenario = scenario.says(|results| {
        let (pipe, raw) = (results.median("Pipe"), results.median("raw pipe"));
        format!(
            "Over our Pipe it takes {} as long as over a raw pipe.",
            results.times(pipe, raw)
        )
    });
    bench.scenario(scenario.says(beside_ipc_channel).says(beside_python));
    Ok(())
}
