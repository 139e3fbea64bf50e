//! All cores at work: N12.

use std::fs;
use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tutorial::harness::listing;

/// The percentage that a line shows.
fn shown(line: &str) -> f64 {
    let (threads, rest) = line.split_once(" busy threads: ").unwrap();
    assert_eq!(
        threads,
        thread::available_parallelism().unwrap().to_string()
    );
    rest.strip_suffix("% CPU").unwrap().parse().unwrap()
}

/// The seconds that the threads of this process were ready to run while other processes
/// had the core, if this kernel counts them.
fn waited_for_a_core(pid: Pid) -> Option<f64> {
    let mut nanoseconds = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let schedstat = task.ok()?.path().join("schedstat");
        let schedstat = fs::read_to_string(schedstat).ok()?;
        nanoseconds += schedstat.split(' ').nth(1)?.parse::<f64>().ok()?;
    }
    Some(nanoseconds / 1e9)
}

#[test]
fn busy_cores_uses_all_of_every_core_but_what_others_take() {
    let mut run = listing!("busy_cores").tempo(4).start();
    assert!(shown(&run.line()) > 0.0);

    let start = Instant::now();
    let Some(waited_before) = waited_for_a_core(run.pid()) else {
        println!("SKIPPED: this kernel does not count what other processes took.");
        return;
    };
    let used = (0..5).map(|_| shown(&run.line())).sum::<f64>() / 5.0;
    let waited = waited_for_a_core(run.pid()).unwrap() - waited_before;
    let waited = waited / start.elapsed().as_secs_f64() * 100.0;

    let all = thread::available_parallelism().unwrap().get() as f64 * 100.0;
    let sum = used + waited;
    assert!(
        sum > 0.75 * all && sum < 1.25 * all,
        "uses {used:.0}% and waits for {waited:.0}% of {all:.0}%"
    );
}

#[test]
fn busy_cores_ends_at_once_by_ctrl_c() {
    let mut run = listing!("busy_cores").tempo(20).start();
    run.line();
    run.signal(Signal::SIGINT);
    assert_eq!(run.finish().signal(), Some(Signal::SIGINT as i32));
}
