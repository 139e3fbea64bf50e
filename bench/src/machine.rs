//! What the numbers were measured on.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use multiprocessing::cpu_count;

/// Each fact with its name. A fact that cannot be found out says so.
pub(crate) type Facts = Vec<(String, String)>;

/// What holds before the run.
pub(crate) fn facts() -> Facts {
    let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    [
        ("date", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("commit", commit()),
        ("compiler", output("rustc", &["--version"])),
        ("processor", field("/proc/cpuinfo", "model name")),
        ("cores", cpu_count().to_string()),
        ("memory", field("/proc/meminfo", "MemTotal")),
        ("governor", read(governor)),
        ("kernel", read("/proc/sys/kernel/osrelease")),
    ]
    .map(|(name, fact)| (name.to_owned(), fact))
    .into()
}

/// What is said of a fact that could not be found out.
pub(crate) const UNKNOWN: &str = "not reported";

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or(UNKNOWN.into(), |text| text.trim().to_owned())
}

/// The first line of a file that begins with this name, after its colon.
fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
        .unwrap_or(UNKNOWN.into())
}

fn output(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map_or(UNKNOWN.into(), |output| {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        })
}

fn commit() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    output("git", &["-C", here, "describe", "--always", "--dirty"])
}

/// How many cores other programs use: measured while this one sleeps for half a
/// second. `None` if the system does not report it.
pub(crate) fn busy_cores() -> Option<f64> {
    let before = Ticks::read()?;
    thread::sleep(Duration::from_millis(500));
    Some(before.busy_cores(Ticks::read()?))
}

/// A machine on which other programs use more than this much of a core is busy.
const BUSY: f64 = 0.15;

/// What to tell the reader about so many used cores, if anything.
pub(crate) fn warning(busy: Option<f64>, when: &str) -> Option<String> {
    let busy = busy.filter(|busy| *busy > BUSY)?;
    let cores = cpu_count();
    Some(format!(
        "THIS MACHINE WAS BUSY: {when} the run other programs used {busy:.1} of {cores} \
         cores. Its times are too long, and its ratios compare what is left."
    ))
}

/// How long all processors have been in use, and how long there were, in clock ticks.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    busy: u64,
    all: u64,
    cores: u64,
}

impl Ticks {
    fn read() -> Option<Self> {
        Self::of(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// See <https://man7.org/linux/man-pages/man5/proc_stat.5.html>.
    fn of(text: &str) -> Option<Self> {
        let mut lines = text.lines().take_while(|line| line.starts_with("cpu"));
        let ticks: Vec<u64> = (lines.next()?.split_whitespace().skip(1).take(8))
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        let all = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Some(Self {
            busy: all - idle,
            all,
            cores: lines.count() as u64,
        })
    }

    fn busy_cores(self, later: Self) -> f64 {
        let all = later.all.saturating_sub(self.all).max(1);
        let busy = later.busy.saturating_sub(self.busy);
        later.cores as f64 * busy as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_others_use_is_found() {
        let at = |user, idle| {
            let text =
                format!("cpu {user} 0 5 {idle} 3 0 1 2 9 9\ncpu0 1\ncpu1 1\nx");
            Ticks::of(&text).unwrap()
        };
        let busy = at(1000, 1000).busy_cores(at(1050, 1050));
        assert!((busy - 1.0).abs() < 1e-9, "{busy}");
        assert_eq!(warning(Some(0.1), "before"), None);
        assert!(warning(Some(1.0), "before").is_some());
        assert_eq!(warning(None, "before"), None);
    }
}
