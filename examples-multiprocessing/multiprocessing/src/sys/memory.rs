//! How much memory and file size there is.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

/// Refuses a file of this size that the process may not make. Asked first, since the system
/// would end the process by SIGXFSZ.
pub(crate) fn check_file_size(size: usize) -> nix::Result<()> {
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    if size as u64 > limit {
        return Err(Errno::EFBIG);
    }
    Ok(())
}

/// The number of bytes that the machine, or the group of processes that this one belongs
/// to, can give without swapping, as far as it says so.
pub(crate) fn available() -> usize {
    available_in_group().map_or_else(of_machine, |group| group.min(of_machine()))
}

fn of_machine() -> usize {
    fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| field(&text, "MemAvailable:"))
        .map_or(usize::MAX, |kib| kib.saturating_mul(1024))
}

/// The first number after this word at the beginning of a line.
fn field(text: &str, word: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What is left in the tightest of the groups, of either version of
/// [cgroups](https://man7.org/linux/man-pages/man7/cgroups.7.html), that limit the memory
/// of this process. `None` if none does.
fn available_in_group() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let left = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        let (root, names) = if controllers.is_empty() {
            ("/sys/fs/cgroup", &V2)
        } else if controllers.split(',').any(|name| name == "memory") {
            ("/sys/fs/cgroup/memory", &V1)
        } else {
            return None;
        };
        tightest(Path::new(root), group, names)
    });
    left.min()
}

/// The names of a group's files: its limit, what it uses, and the line of its statistics
/// that says how much of that is a cache.
type Names = [&'static str; 3];
const V2: Names = ["memory.max", "memory.current", "inactive_file "];
const V1: Names = [
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "total_inactive_file ",
];

/// What is left in a group and in all that it is part of.
fn tightest(
    root: &Path,
    group: &str,
    [limit, usage, cache]: &Names,
) -> Option<usize> {
    let folder: PathBuf = root.join(group.trim_start_matches('/'));
    let left = folder
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| {
            let number = |name| {
                let text = fs::read_to_string(folder.join(name)).ok()?;
                text.trim().parse::<usize>().ok()
            };
            let (limit, usage) = (number(limit)?, number(usage)?);
            let statistics = fs::read_to_string(folder.join("memory.stat")).ok();
            let cache = statistics.and_then(|text| field(&text, cache)).unwrap_or(0);
            Some(limit.saturating_sub(usage.saturating_sub(cache)))
        });
    left.min()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_group_leaves_its_limit_less_its_use_but_for_the_cache() {
        let root = TempDir::with_prefix("groups-").unwrap();
        let root = root.path();
        let inner = root.join("outer/inner");
        fs::create_dir_all(&inner).unwrap();
        let write = |folder: &Path, [limit, usage, cache]: [&str; 3]| {
            fs::write(folder.join("memory.max"), limit).unwrap();
            fs::write(folder.join("memory.current"), usage).unwrap();
            let statistics = format!("anon 7\ninactive_file {cache}\n");
            fs::write(folder.join("memory.stat"), statistics).unwrap();
        };
        write(&inner, ["max\n", "1\n", "0"]);
        assert_eq!(tightest(root, "/outer/inner", &V2), None);
        write(&root.join("outer"), ["1000\n", "600\n", "100"]);
        assert_eq!(tightest(root, "/outer/inner", &V2), Some(500));
        write(&inner, ["300\n", "280\n", "0"]);
        assert_eq!(tightest(root, "/outer/inner", &V2), Some(20));
    }
}
