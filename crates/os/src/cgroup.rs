//! The control group of this process, as far as it tells why a process was killed.

use std::fs;
use std::path::{Path, PathBuf};

/// How many processes of our control group the kernel has killed for lack of memory, the group's or
/// the system's, ever; `None` when nothing says so. Children are in the same group, unless somebody
/// moves them.
pub fn memory_kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let files = candidates(&groups, Path::new("/sys/fs/cgroup"));
    files.iter().find_map(|file| count_of(&fs::read_to_string(file).ok()?))
}

/// Where the count may be: version 2, then version 1, each below the group's path and, for a
/// container that sees its own group as the root, at the top.
fn candidates(groups: &str, root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut add = |dir: &Path, group: &str, file: &str| {
        files.push(dir.join(group.trim_start_matches('/')).join(file));
        files.push(dir.join(file));
    };
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        if controllers.is_empty() {
            add(root, group, "memory.events");
        } else if controllers.split(',').any(|controller| controller == "memory") {
            add(&root.join("memory"), group, "memory.oom_control");
        }
    }
    files
}

/// `oom_kill 3` on a line of its own; both versions write it so.
fn count_of(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_looked_for_in_both_versions() {
        let groups = "4:cpu,memory:/a/b\n1:name=systemd:/\n0::/c\nnonsense";
        let files = candidates(groups, Path::new("/cg"));
        let expected = [
            "/cg/memory/a/b/memory.oom_control",
            "/cg/memory/memory.oom_control",
            "/cg/c/memory.events",
            "/cg/memory.events",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
    }

    #[test]
    fn the_count_is_read() {
        assert_eq!(count_of("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), Some(2));
        assert_eq!(count_of("low 0\noom 4\noom_kill 3\noom_group_kill 0\n"), Some(3));
        assert_eq!(count_of("oom_kill x"), None);
    }
}
