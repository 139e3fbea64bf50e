//! What does an object in a manager's server cost?

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::Context;
use bench::{Bench, Placement, Results, Row, Scenario};
use multiprocessing::managers::{SyncManager, manager};
use multiprocessing::{Process, active_children};

const QUESTION: &str = "managers";

/// For a scenario that is measured in each placement.
const BUDGET: Duration = Duration::from_secs(1);

pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    for placement in Placement::all() {
        dict(placement, bench)?;
        queue(placement, bench)?;
    }
    Ok(())
}

/// Makes the process that was started last the other side. The bench itself is the
/// first.
fn put_server(placement: Placement) -> anyhow::Result<()> {
    let children = active_children();
    let server = children.last().context("there is no server")?;
    Ok(placement.put(server.pid(), 1)?)
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

/// What is the same for both scenarios.
fn finished<'a>(
    scenario: Scenario<'a>,
    placement: Placement,
    ours: &'static str,
    echo: &'static str,
) -> Scenario<'a> {
    let beside_echo = move |results: &Results| {
        let times = results.times(ours, echo)?;
        Some(format!("It takes {times} as long as the bare socket."))
    };
    let beside_python = move |results: &Results| {
        let python = results.python(ours)?;
        Some(format!("Python's takes {python} as long as ours."))
    };
    let scenario = scenario
        .placed(placement)
        .budget(BUDGET)
        .ceiling([2])
        .says(beside_echo)
        .says(beside_python);
    match placement {
        Placement::Free | Placement::Busy => scenario.quote(ours, ours, [echo]),
        Placement::OneCore | Placement::Apart => scenario,
    }
}

fn dict(placement: Placement, bench: &mut Bench) -> anyhow::Result<()> {
    let manager = manager()?;
    put_server(placement)?;
    let dict = &manager.dict([("key", 1)])?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut other = Process::builder().daemon(true).target(|| echo(&theirs));
    other.start()?;
    put_server(placement)?;
    let ours = &ours;
    let scenario = Scenario::new(
        QUESTION,
        "dict",
        "a managed dict asked for a key, over a UNIX socket",
        1,
    )
    .row(
        Row::timed("managed dict", || Ok(u64::from(dict.get::<u32>("key")?)))
            .python(format!("managers.dict_get {}", placement.in_python())),
    )
    .row(Row::timed("an echo", move || round_trip(ours)).limit());
    let scenario = finished(scenario, placement, "managed dict", "an echo");
    placement.run(0, || bench.scenario(scenario))?;
    other.terminate()?;
    other.join()?;
    Ok(())
}

fn queue(placement: Placement, bench: &mut Bench) -> anyhow::Result<()> {
    let mut manager = SyncManager::new(("127.0.0.1", 0), b"abc");
    manager.start()?;
    put_server(placement)?;
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
    put_server(placement)?;
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
        .python(format!("managers.queue_put_get {}", placement.in_python())),
    )
    .row(
        Row::timed("two echoes", move || {
            round_trip(stream)?;
            round_trip(stream)
        })
        .limit(),
    );
    let scenario = finished(scenario, placement, "managed queue", "two echoes");
    placement.run(0, || bench.scenario(scenario))?;
    other.terminate()?;
    other.join()?;
    Ok(())
}
