//! What does it cost to hand something over, between threads and between processes?

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use bench::sys::{Message, PingPong, Ring, Wait};
use bench::{Bench, By, Part, Placement, Race, Results, Row, Scenario, share};
use crossbeam::channel;
use ipc_channel::ipc;
use multiprocessing::{Event, RawValue, SimpleQueue, cpu_count, pipe};
use nix::unistd;
use queue::Queue;
use serde_bytes::ByteBuf;

use crate::work::{spinning, without_spinning};

const QUESTION: &str = "queues";

/// How many items a bounded queue holds.
const SIZE: usize = 1024;

/// For a scenario that is measured in each placement.
const BUDGET: Duration = Duration::from_secs(1);

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    for placement in Placement::all() {
        hand_over(Sides::PAIR, placement, bench)?;
    }
    for count in bench::worker_counts() {
        for (producers, consumers) in [(count, 1), (count, count)] {
            let sides = Sides {
                producers,
                consumers,
            };
            // With twice as many as cores on either side nothing new is learnt.
            if count > 1 && count <= cpu_count().max(2) {
                hand_over(sides, Placement::Free, bench)?;
            }
        }
    }
    for placement in Placement::all() {
        thread_round_trip(placement, bench);
    }
    for rest in [Duration::ZERO, REST] {
        for placement in Placement::all() {
            process_round_trip(rest, placement, bench)?;
        }
    }
    Ok(())
}

fn hand_over(
    sides: Sides,
    placement: Placement,
    bench: &mut Bench,
) -> anyhow::Result<()> {
    threads::<8>(sides, placement, bench);
    threads::<4096>(sides, placement, bench);
    between_processes(sides, 64, placement, bench)?;
    between_processes(sides, 64 << 10, placement, bench)
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Sides {
    producers: usize,
    consumers: usize,
}

impl Sides {
    const PAIR: Self = Self {
        producers: 1,
        consumers: 1,
    };

    /// A scenario with these sides; a pair of them has a placement.
    fn scenario<'a>(
        self,
        by: &str,
        size: usize,
        work: &str,
        placement: Placement,
    ) -> Scenario<'a> {
        let size = match size {
            size if size < 1024 => format!("{size} B"),
            size => format!("{} KiB", size >> 10),
        };
        let name = format!("{by} {}→{}, {size}", self.producers, self.consumers);
        let scenario = Scenario::new(QUESTION, name, work, 1).budget(BUDGET);
        if self == Self::PAIR {
            scenario.placed(placement)
        } else {
            scenario
        }
    }

    /// Has the producers put and the consumers get `times` items together, each its
    /// share.
    fn race<'a>(
        self,
        by: By,
        placement: Placement,
        times: u64,
        put: impl Fn() -> anyhow::Result<()> + Copy + Send + 'a,
        get: impl Fn() -> anyhow::Result<u64> + Copy + Send + 'a,
    ) -> anyhow::Result<(Duration, u64)> {
        let producers = (0..self.producers).map(|producer| -> Part<'_> {
            Box::new(move |times| {
                for _ in 0..share(times, self.producers, producer) {
                    put()?;
                }
                Ok(0)
            })
        });
        let consumers = (0..self.consumers).map(|consumer| -> Part<'_> {
            Box::new(move |times| {
                (0..share(times, self.consumers, consumer))
                    .try_fold(0, |sum, _| Ok(sum + get()?))
            })
        });
        let race = Race {
            by,
            placement,
            // Enough for each side to have put or got some.
            warm: 16 * self.producers.max(self.consumers) as u64,
        };
        race.run(times, producers.chain(consumers).collect())
    }

    /// The arguments that all of Python's functions begin with.
    fn in_python(self, placement: Placement) -> String {
        let Self {
            producers,
            consumers,
        } = self;
        format!("{} {producers} {consumers}", placement.in_python())
    }
}

/// An item that is all zeros but for its last byte, a one.
fn item<const N: usize>() -> [u8; N] {
    let mut item = [0; N];
    item[N - 1] = 1;
    item
}

fn last(item: &[u8]) -> u64 {
    item.last().copied().map_or(0, u64::from)
}

fn threads<const N: usize>(sides: Sides, placement: Placement, bench: &mut Bench) {
    let (by, python) = (By::Threads, sides.in_python(placement));
    let std = Row::new("std sync_channel", move |times| {
        let (sender, receiver) = mpsc::sync_channel::<[u8; N]>(SIZE);
        let receiver = &Mutex::new(receiver);
        let sender = &sender;
        sides.race(
            by,
            placement,
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
            by,
            placement,
            times,
            move || Ok(sender.send(item())?),
            move || Ok(last(&receiver.lock().unwrap().recv()?)),
        )
    });
    let crossbeam = Row::new("crossbeam", move |times| {
        let (sender, receiver) = channel::bounded::<[u8; N]>(SIZE);
        let (sender, receiver) = (&sender, &receiver);
        sides.race(
            by,
            placement,
            times,
            move || Ok(sender.send(item())?),
            move || Ok(last(&receiver.recv()?)),
        )
    });
    let ours = Row::new("Queue", move |times| {
        let queue = &Queue::<[u8; N]>::new(SIZE);
        sides.race(
            by,
            placement,
            times,
            move || queue.put(item()).map_err(|_| anyhow!("shut down")),
            move || Ok(last(&queue.get()?)),
        )
    });
    let work = "one item handed over, at most 1024 waiting";
    let mut scenario = (sides.scenario("threads", N, work, placement))
        .row(if sides.consumers == 1 {
            std
        } else {
            std.note("a std receiver belongs to one thread, and a Mutex shares it")
        })
        .row(unbounded.note("any number of items may wait"))
        .row(crossbeam)
        .row(ours.python(format!("queues.threads {python} {N} {SIZE}")))
        .row(
            Row::only_python("SimpleQueue")
                .python(format!("queues.simple_threads {python} {N}"))
                .note("queue.SimpleQueue, in which any number of items may wait"),
        );
    if placement == Placement::Free {
        let call = format!("with_asyncio.hand_over {python} {N} {SIZE}");
        scenario = scenario.row(
            Row::only_python("asyncio.Queue")
                .python(call)
                .note("between the tasks of one thread"),
        );
        if sides.consumers == 1 && N == 8 {
            let what = format!("threads' `Queue`, {}→1, {N} B", sides.producers);
            scenario = scenario.quote(what, "Queue", ["crossbeam"]);
        }
    }
    let scenario = scenario
        .ceiling([sides.producers + sides.consumers])
        .says(|results| {
            Some(format!(
                "Our Queue takes {} as long as std's channel and {} as long as \
                 crossbeam's.",
                results.times("Queue", "std sync_channel")?,
                results.times("Queue", "crossbeam")?,
            ))
        })
        .says(|results| {
            Some(format!(
                "Python's Queue takes {} as long as ours, its SimpleQueue {}.",
                results.python("Queue")?,
                results.ratio(
                    bench::Of::Python("SimpleQueue"),
                    bench::Of::Rust("Queue")
                )?
            ))
        });
    bench.scenario(scenario);
}

fn between_processes(
    sides: Sides,
    size: usize,
    placement: Placement,
    bench: &mut Bench,
) -> anyhow::Result<()> {
    let mut bytes = vec![0_u8; size];
    bytes[size - 1] = 1;
    let bytes = &bytes;
    let Sides {
        producers,
        consumers,
    } = sides;
    let (by, python) = (By::Processes, sides.in_python(placement));
    let (receiver, sender) = &pipe(false)?;
    let (reader, writer) = &unistd::pipe()?;
    let connection = Row::new("Pipe", move |times| {
        sides.race(
            by,
            placement,
            times,
            move || Ok(sender.send_bytes(bytes)?),
            move || Ok(last(&receiver.recv_bytes()?)),
        )
    });
    let queue = &multiprocessing::Queue::<ByteBuf>::new(SIZE)?;
    let through_queue = move |times| {
        sides.race(
            by,
            placement,
            times,
            move || Ok(queue.put(ByteBuf::from(bytes.as_slice()))?),
            move || Ok(last(&queue.get()?)),
        )
    };
    let simple = &SimpleQueue::<ByteBuf>::new()?;
    let simple = Row::new("SimpleQueue", move |times| {
        sides.race(
            by,
            placement,
            times,
            move || Ok(simple.put(ByteBuf::from(bytes.as_slice()))?),
            move || Ok(last(&simple.get()?)),
        )
    });
    let work = "one item handed over";
    let mut scenario = (sides.scenario("processes", size, work, placement))
        .row(
            connection
                .python(format!("queues.pipe {python} {size}"))
                .note("the number of waiting items is what fits the socket"),
        )
        .row(
            Row::new("Queue", through_queue)
                .python(format!("queues.processes {python} {size} {SIZE}")),
        )
        .row(simple.python(format!("queues.simple_processes {python} {size}")));
    if producers + consumers > cpu_count() {
        let unspun = move |times| without_spinning(|| through_queue(times));
        scenario = scenario.row(Row::new("Queue, never spinning", unspun));
    }
    scenario = scenario.row(if consumers == 1 {
        Row::new("ipc-channel", move |times| {
            let (sender, receiver) = ipc::bytes_channel()?;
            // The ends cannot be shared between threads, and here each process has its
            // own copy of both.
            let ends = Mutex::new((sender, receiver));
            let ends = &ends;
            sides.race(
                by,
                placement,
                times,
                move || Ok(ends.lock().unwrap().0.send(bytes)?),
                move || Ok(last(&ends.lock().unwrap().1.recv()?)),
            )
        })
    } else {
        Row::absent("ipc-channel", "its receiver belongs to one process")
    });
    if sides == Sides::PAIR
        && size == size_of::<Message>()
        && both_can_spin(placement)
    {
        scenario = scenario.row(
            Row::new("a ring for two", move |times| {
                let ring = &Ring::new()?;
                let parts: Vec<Part<'_>> = vec![
                    Box::new(move |times| {
                        ring.produce(times, &[1; 8]);
                        Ok(0)
                    }),
                    Box::new(move |times| Ok(ring.consume(times))),
                ];
                let race = Race {
                    by,
                    placement,
                    warm: 16,
                };
                race.run(times, parts)
            })
            .limit()
            .note("both sides spin, and there can be no third"),
        );
    }
    if size == size_of::<Message>() {
        let name = "crossbeam, between threads";
        scenario = scenario
            .row(between_threads(name, sides, placement, move || {
                ByteBuf::from(bytes.as_slice())
            }))
            .row(between_threads(
                "crossbeam, arrays between threads",
                sides,
                placement,
                item::<{ size_of::<Message>() }>,
            ));
    }
    if size <= PIPE_BUF {
        scenario = scenario.row(Row::new("raw pipe", move |times| {
            sides.race(
                by,
                placement,
                times,
                move || write(writer, bytes),
                move || read(reader, size),
            )
        }));
    }
    if placement == Placement::Free && consumers == 1 {
        let what = |kind| format!("`{kind}`, {producers}→{consumers}, {size} B");
        scenario = scenario
            .quote(
                what("Queue"),
                "Queue",
                [
                    "a ring for two",
                    "crossbeam, between threads",
                    "crossbeam, arrays between threads",
                    "ipc-channel",
                ],
            )
            .quote(what("Pipe"), "Pipe", ["raw pipe"]);
    }
    let scenario = scenario
        .ceiling([producers + consumers])
        .says(beside_ipc_channel)
        .says(beside_python)
        .says(|results| spinning(results, "Queue"));
    bench.scenario(scenario);
    Ok(())
}

/// What the same item costs within one process, where nothing needs to survive the death
/// of a peer. An item that owns memory is handed over as a pointer.
fn between_threads<'a, T: AsRef<[u8]> + Send + 'a>(
    name: &str,
    sides: Sides,
    placement: Placement,
    item: impl Fn() -> T + Copy + Send + Sync + 'a,
) -> Row<'a> {
    let row = Row::new(name, move |times| {
        let (sender, receiver) = channel::bounded::<T>(SIZE);
        let (sender, receiver) = (&sender, &receiver);
        sides.race(
            By::Threads,
            placement,
            times,
            move || sender.send(item()).map_err(|_| anyhow!("no receiver")),
            move || Ok(last(receiver.recv()?.as_ref())),
        )
    });
    row.note("within one process, whose threads share its memory")
}

/// Whether two sides that never sleep can have a core each. Otherwise each of their
/// turns would take the scheduler some milliseconds.
fn both_can_spin(placement: Placement) -> bool {
    match placement {
        Placement::Free | Placement::Apart => cpu_count() > 1,
        Placement::OneCore | Placement::Busy => false,
    }
}

/// What a pipe takes whole, however many processes write to it.
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

fn beside_ipc_channel(results: &Results) -> Option<String> {
    Some(format!(
        "Over ipc-channel it takes {} as long as over our Queue and {} as long as over \
         our Pipe.",
        results.times("ipc-channel", "Queue")?,
        results.times("ipc-channel", "Pipe")?,
    ))
}

fn beside_python(results: &Results) -> Option<String> {
    Some(format!(
        "Over Python's Queue it takes {} as long as over ours, over its Pipe {}.",
        results.python("Queue")?,
        results.python("Pipe")?,
    ))
}

/// How a question is asked and answered again and again.
#[derive(Clone, Copy)]
struct RoundTrips {
    by: By,
    placement: Placement,
    /// The asker's pause before each question.
    rest: Duration,
}

/// Long enough for the other side to fall asleep.
const REST: Duration = Duration::from_millis(1);

impl RoundTrips {
    fn awake(by: By, placement: Placement) -> Self {
        Self {
            by,
            placement,
            rest: Duration::ZERO,
        }
    }

    /// Asks and gets the answer `times` times. What is timed is from the question to
    /// the answer; without a rest it is the whole, so that reading the clock does not
    /// count.
    fn run<'a>(
        self,
        times: u64,
        ask: impl Fn() -> anyhow::Result<u64> + Send + 'a,
        reply: impl Fn() -> anyhow::Result<()> + Send + 'a,
    ) -> anyhow::Result<(Duration, u64)> {
        let rest = self.rest;
        // One more question after a few that are timed one by one: the end of the process
        // that answers takes longer than an answer, on the core of the one that waits.
        let untimed = u64::from(!rest.is_zero());
        let asked = &RawValue::new(0_u64)?;
        let parts: Vec<Part<'_>> = vec![
            Box::new(move |times| {
                if rest.is_zero() {
                    return (0..times).try_fold(0, |sum, _| Ok(sum + ask()?));
                }
                asked.set(0);
                let sum = (0..times).try_fold(0, |sum, _| {
                    thread::sleep(rest);
                    let start = Instant::now();
                    let answer = ask()?;
                    asked.set(asked.get() + start.elapsed().as_nanos() as u64);
                    anyhow::Ok(sum + answer)
                })?;
                ask()?;
                Ok(sum)
            }),
            Box::new(move |times| {
                for _ in 0..times + untimed {
                    reply()?;
                }
                Ok(0)
            }),
        ];
        let race = Race {
            by: self.by,
            placement: self.placement,
            warm: if rest.is_zero() { 100 } else { 2 },
        };
        let (took, sum) = race.run(times, parts)?;
        if rest.is_zero() {
            return Ok((took, sum));
        }
        Ok((Duration::from_nanos(asked.get()), sum))
    }
}

fn thread_round_trip(placement: Placement, bench: &mut Bench) {
    let trips = RoundTrips::awake(By::Threads, placement);
    let std = Row::new("std sync_channel", move |times| {
        let (to, at) = mpsc::sync_channel::<u64>(1);
        let (back, home) = mpsc::sync_channel::<u64>(1);
        let ask = move || {
            to.send(1)?;
            Ok(home.recv()?)
        };
        let reply = move || Ok(back.send(at.recv()?)?);
        trips.run(times, ask, reply)
    });
    let crossbeam = Row::new("crossbeam", move |times| {
        let (to, at) = channel::bounded::<u64>(1);
        let (back, home) = channel::bounded::<u64>(1);
        let ask = move || {
            to.send(1)?;
            Ok(home.recv()?)
        };
        let reply = move || Ok(back.send(at.recv()?)?);
        trips.run(times, ask, reply)
    });
    let ours = Row::new("Queue", move |times| {
        let (there, back) = (&Queue::<u64>::new(1), &Queue::<u64>::new(1));
        let ask = move || {
            there.put(1)?;
            Ok(back.get()?)
        };
        let reply = move || Ok(back.put(there.get()?)?);
        trips.run(times, ask, reply)
    });
    let python = placement.in_python();
    let mut scenario = Scenario::new(
        QUESTION,
        "threads, round trip",
        "one item there and back",
        1,
    )
    .placed(placement)
    .budget(BUDGET)
    .row(std)
    .row(crossbeam)
    .row(ours.python(format!("queues.threads_round_trip {python}")))
    .row(
        Row::only_python("SimpleQueue")
            .python(format!("queues.simple_threads_round_trip {python}")),
    );
    if placement == Placement::Free {
        scenario = scenario.row(
            Row::only_python("asyncio.Queue")
                .python("with_asyncio.round_trip")
                .note("between the tasks of one thread"),
        );
    }
    if matches!(placement, Placement::Free | Placement::Busy) {
        let what = "threads' `Queue`, round trip";
        scenario = scenario.quote(what, "Queue", ["crossbeam"]);
    }
    bench.scenario(scenario.ceiling([2]).says(|results| {
        Some(format!(
            "An answer from another thread takes Python's Queue {} as long as ours, and \
             ours {} as long as crossbeam's channels.",
            results.python("Queue")?,
            results.times("Queue", "crossbeam")?
        ))
    }));
}

/// The row of this name once more, in which no wait spins: spinning must not cost more than
/// it gains, wherever the sides run.
#[track_caller]
fn never_spinning<'a>(
    name: &str,
    work: impl Fn(u64) -> anyhow::Result<(Duration, u64)> + 'a,
) -> Row<'a> {
    Row::new(format!("{name}, never spinning"), move |times| {
        without_spinning(|| work(times))
    })
}

/// Two processes that change a word in turn. Each side waits in its own way.
fn ping_pong<'a>(
    name: &str,
    trips: RoundTrips,
    asker: Wait,
    replier: Wait,
) -> Row<'a> {
    let row = Row::new(name, move |times: u64| {
        let word = &PingPong::new()?;
        let (turn, their_turn) = (Cell::new(0), Cell::new(0));
        let ask = move || {
            turn.set(turn.get() + 2);
            word.put(turn.get() - 1, replier);
            word.wait_for(turn.get(), asker);
            Ok(1)
        };
        let reply = move || {
            their_turn.set(their_turn.get() + 2);
            word.wait_for(their_turn.get() - 1, replier);
            word.put(their_turn.get(), asker);
            Ok(())
        };
        trips.run(times, ask, reply)
    });
    row.limit()
        .note("it carries no message, only a word that changes")
}

fn process_round_trip(
    rest: Duration,
    placement: Placement,
    bench: &mut Bench,
) -> anyhow::Result<()> {
    let trips = RoundTrips {
        rest,
        ..RoundTrips::awake(By::Processes, placement)
    };
    let (here, there) = &pipe(true)?;
    let through_pipe = move |times| {
        let ask = || {
            here.send_bytes(&item::<64>())?;
            Ok(last(&here.recv_bytes()?))
        };
        let reply = || Ok(there.send_bytes(&there.recv_bytes()?)?);
        trips.run(times, ask, reply)
    };
    let (forth, back) = (
        &multiprocessing::Queue::<ByteBuf>::new(0)?,
        &multiprocessing::Queue::<ByteBuf>::new(0)?,
    );
    let through_queue = move |times| {
        let ask = || {
            forth.put(ByteBuf::from(item::<64>()))?;
            Ok(last(&back.get()?))
        };
        let reply = || Ok(back.put(forth.get()?)?);
        trips.run(times, ask, reply)
    };
    let (question, answer) = (&Event::new()?, &Event::new()?);
    let through_events = move |times| {
        let ask = || {
            question.set();
            answer.wait();
            answer.clear();
            Ok(1)
        };
        let reply = || {
            question.wait();
            question.clear();
            answer.set();
            Ok(())
        };
        trips.run(times, ask, reply)
    };
    let (simple_forth, simple_back) = (
        &SimpleQueue::<ByteBuf>::new()?,
        &SimpleQueue::<ByteBuf>::new()?,
    );
    let simple = Row::new("SimpleQueue", move |times| {
        let ask = || {
            simple_forth.put(ByteBuf::from(item::<64>()))?;
            Ok(last(&simple_back.get()?))
        };
        let reply = || Ok(simple_back.put(simple_forth.get()?)?);
        trips.run(times, ask, reply)
    });
    let channel = Row::new("ipc-channel", move |times| {
        let (to, at) = ipc::bytes_channel()?;
        let (back, home) = ipc::bytes_channel()?;
        let ask = move || {
            to.send(&item::<64>())?;
            Ok(last(&home.recv()?))
        };
        let reply = move || Ok(back.send(&at.recv()?)?);
        trips.run(times, ask, reply)
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
        trips.run(times, ask, reply)
    });
    let (name, work) = if rest.is_zero() {
        ("awake", "64 bytes there and back, again and again")
    } else {
        ("asleep", "64 bytes there and back, once a millisecond")
    };
    let python = format!("{} 64 {}", placement.in_python(), rest.as_micros());
    let mut scenario =
        Scenario::new(QUESTION, format!("processes, round trip, {name}"), work, 1)
            .placed(placement)
            .budget(BUDGET)
            .row(
                Row::new("Pipe", through_pipe)
                    .python(format!("queues.pipe_round_trip {python}")),
            )
            .row(
                Row::new("Queue", through_queue)
                    .python(format!("queues.processes_round_trip {python}")),
            )
            .row(
                simple
                    .python(format!("queues.simple_processes_round_trip {python}")),
            )
            .row(channel)
            .row(raw)
            .row(ping_pong(
                "futex ping-pong",
                trips,
                Wait::Sleep,
                Wait::Sleep,
            ))
            .row(never_spinning("Pipe", through_pipe))
            .row(never_spinning("Queue", through_queue))
            .row(
                Row::new("Event", through_events)
                    .note("it carries no message, only a flag"),
            )
            .row(never_spinning("Event", through_events));
    if both_can_spin(placement) {
        let name = "futex, its asker spins";
        let asker = Wait::SpinThenSleep;
        scenario = scenario.row(ping_pong(name, trips, asker, Wait::Sleep));
        if rest.is_zero() {
            let name = "spinning ping-pong";
            scenario = scenario.row(ping_pong(name, trips, Wait::Spin, Wait::Spin));
        }
    }
    if !rest.is_zero() {
        // Nearly all of the time is rest, which is not counted.
        scenario = scenario.exactly(10);
    }
    if matches!(placement, Placement::Free | Placement::Busy) {
        let what = |kind| format!("`{kind}`, round trip, {name}");
        scenario = scenario
            .quote(what("Pipe"), "Pipe", ["raw pipe", "ipc-channel"])
            .quote(
                what("Queue"),
                "Queue",
                ["spinning ping-pong", "futex, its asker spins"],
            );
    }
    let scenario = scenario
        .ceiling([2])
        .says(|results| {
            Some(format!(
                "Over our Pipe it takes {} as long as over a raw pipe.",
                results.times("Pipe", "raw pipe")?
            ))
        })
        .says(|results| {
            Some(format!(
                "If no wait spins, a Pipe takes {} as long, a Queue {} and an Event {}.",
                results.times("Pipe, never spinning", "Pipe")?,
                results.times("Queue, never spinning", "Queue")?,
                results.times("Event, never spinning", "Event")?,
            ))
        })
        .says(beside_ipc_channel)
        .says(beside_python);
    bench.scenario(scenario);
    Ok(())
}
