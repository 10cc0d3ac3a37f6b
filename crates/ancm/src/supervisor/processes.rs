//! What the system knows about processes. All of it may be gone a moment later, and is nothing then.

use std::fs;
use std::time::Duration;

use control::operator::ProcessStatus;
use os::process::tree::Seen;

/// More than this are not looked for: an application may start any number.
const MOST: usize = 256;

/// A process with its memory.
pub(super) fn status(pid: i32) -> ProcessStatus {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let kib = field("VmRSS").and_then(|size| size.split(' ').next()?.parse::<u64>().ok());
    ProcessStatus {
        pid,
        name: field("Name").unwrap_or_default().to_owned(),
        memory_bytes: kib.unwrap_or(0) * 1024,
    }
}

/// The memory that `pid` and what it has started have each for itself, in bytes: without files
/// that are merely mapped.
pub(super) fn private_memory(pid: i32) -> u64 {
    below(pid).into_iter().chain([pid]).map(own_memory).sum()
}

/// The CPU time that `pid` and what it has started have taken.
pub(super) fn cpu_time(pid: i32) -> Duration {
    let all = below(pid).into_iter().chain([pid]);
    all.filter_map(Seen::look).map(|seen| seen.cpu_time()).sum()
}

fn own_memory(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
    };
    (kib("RssAnon") + kib("VmSwap")) * 1024
}

/// The processes that `pid` has started, those that they have started, and so on.
pub(super) fn below(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied().filter(|_| found.len() < MOST) {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|it| it.parse::<i32>().ok()));
        }
        next += 1;
    }
    found.truncate(MOST);
    found.remove(0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_with_its_name_and_memory() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(below(own).contains(&pid));
        // Between fork and exec it is still a copy of this process.
        while status(pid).name != "sleep" {
            std::thread::yield_now();
        }
        assert!(status(pid).memory_bytes > 0);
        assert!(private_memory(own) > 1 << 16 && own_memory(own) > 1 << 16);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((status(pid).memory_bytes, below(pid)), (0, vec![]));
        assert!(!below(own).contains(&pid));
    }
}
