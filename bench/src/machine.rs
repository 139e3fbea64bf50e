//! What the numbers were measured on.

use std::fs;
use std::process::Command;
use std::time::Duration;

use multiprocessing::cpu_count;

/// Each fact with its name. A fact that cannot be found out says so.
pub(crate) fn facts(took: Duration) -> Vec<(&'static str, String)> {
    let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    vec![
        ("processor", processor()),
        ("cores", cpu_count().to_string()),
        ("governor", read(governor)),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("compiler", output("rustc", &["--version"])),
        ("commit", commit()),
        ("load average at the end", read("/proc/loadavg")),
        ("the run took", format!("{} s", took.as_secs())),
    ]
}

const UNKNOWN: &str = "not reported";

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or(UNKNOWN.into(), |text| text.trim().to_owned())
}

fn processor() -> String {
    let text = read("/proc/cpuinfo");
    let model = text.lines().find(|line| line.starts_with("model name"));
    model
        .and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
        .unwrap_or(UNKNOWN.into())
}

fn output(program: &str, arguments: &[&str]) -> String {
    (Command::new(program).args(arguments).output().ok())
        .filter(|output| output.status.success())
        .map_or(UNKNOWN.into(), |output| {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        })
}

fn commit() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    output("git", &["-C", here, "describe", "--always", "--dirty"])
}
