//! What does an object in a manager's server cost?

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use anyhow::Context;
use bench::{Bench, Results, Row, Scenario, on_core, pin};
use multiprocessing::managers::{SyncManager, manager};
use multiprocessing::{Process, active_children};

const QUESTION: &str = "managers";

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    dict(bench)?;
    queue(bench)
}

/// Has the process that was just started share its client's core. One of the two always
/// sleeps, so that is where the scheduler has them, mostly; and a wake-up on another core
/// takes ten times as long.
fn on_one_core() -> anyhow::Result<()> {
    let children = active_children();
    let server = children.last().context("there is no server")?;
    Ok(pin(server.pid(), 0)?)
}

/// As long as a small call or its answer is.
type Message = [u8; 48];

fn echo(mut stream: impl Read + Write) {
    let mut message: Message = [0; _];
    while stream.read_exact(&mut message).is_ok()
        && stream.write_all(&message).is_ok()
    {}
}

fn round_trip(mut stream: impl Read + Write) -> anyhow::Result<u64> {
    let mut message: Message = [1; _];
    stream.write_all(&message)?;
    stream.read_exact(&mut message)?;
    Ok(message[0].into())
}

fn compare(results: &Results, ours: &str, limit: &str) -> String {
    let (median, limit) = (results.median(ours), results.median(limit));
    let times = results.times(median, limit);
    let text = format!("It takes {times} as long as the bare socket.");
    if results.python(ours).is_none() {
        return text;
    }
    let python = results.times(results.python(ours), median);
    format!("{text} Python's takes {python} as long as ours.")
}

fn dict(bench: &mut Bench) -> anyhow::Result<()> {
    let manager = manager()?;
    on_one_core()?;
    let dict = &manager.dict([("key", 1)])?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut other = Process::builder().daemon(true).target(|| echo(&theirs));
    other.start()?;
    on_one_core()?;
    let ours = &ours;
    let scenario = Scenario::new(
        QUESTION,
        "dict",
        "a managed dict asked for a key, over a UNIX socket",
        1,
    )
    .row(
        Row::timed("managed dict", || Ok(u64::from(dict.get::<u32>("key")?)))
            .python("managers.dict_get"),
    )
    .row(Row::timed("an echo", move || round_trip(ours)).limit())
    .says(|results| compare(results, "managed dict", "an echo"));
    on_core(0, || bench.scenario(scenario))?;
    other.terminate()?;
    other.join()?;
    Ok(())
}

fn queue(bench: &mut Bench) -> anyhow::Result<()> {
    let mut manager = SyncManager::new(("127.0.0.1", 0), b"abc");
    manager.start()?;
    on_one_core()?;
    let queue = &manager.queue(0)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut other = Process::builder().daemon(true).target(|| {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        echo(&stream);
        std::io::Result::Ok(())
    });
    other.start()?;
    on_one_core()?;
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let stream = &stream;
    let scenario = Scenario::new(
        QUESTION,
        "queue",
        "an item put into a managed queue and got again, over TCP",
        1,
    )
    .row(
        Row::timed("managed queue", || {
            queue.put(1)?;
            Ok(u64::from(queue.get::<u32>()?))
        })
        .python("managers.queue_put_get"),
    )
    .row(
        Row::timed("two echoes", move || {
            round_trip(stream)?;
            round_trip(stream)
        })
        .limit(),
    )
    .says(|results| compare(results, "managed queue", "two echoes"));
    on_core(0, || bench.scenario(scenario))?;
    other.terminate()?;
    other.join()?;
    Ok(())
}
