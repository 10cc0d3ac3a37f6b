//! How much memory processes here can still have, and how much of it they keep.

use std::fs;
use std::path::Path;

/// Bytes that the system and every control group of this process still grant; what can be had back
/// from the cache of files counts as free. `None` when nothing says so.
pub fn available() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = group_room(&groups, Path::new("/sys/fs/cgroup"));
    field(&info, "MemAvailable:").map(|kib| kib * 1024).into_iter().chain(groups).min()
}

/// Lets every heap of the C library keep up to `bytes` that were freed, up to 1 GiB, where it would give
/// them back beyond 128 KiB and take them again, page by page, for the next large answer.
/// Whoever runs the process may have said otherwise (`GLIBC_TUNABLES`, `MALLOC_TRIM_THRESHOLD_`): that
/// stays. Other C libraries decide for themselves.
#[cfg_attr(not(target_env = "gnu"), expect(unused_variables))]
pub fn keep_freed(bytes: u32) {
    const OWN: [&str; 2] = ["GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_"];
    if OWN.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    #[cfg(target_env = "gnu")]
    {
        let bytes = bytes.min(1 << 30).cast_signed();
        // SAFETY: the function takes two numbers and locks what it changes.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, bytes);
            // What is mapped apart is given back at once, whatever it is.
            libc::mallopt(libc::M_MMAP_THRESHOLD, bytes / 4);
        }
    }
}

/// Registers the process for expedited memory barriers, which the .NET runtime does when it starts: in a
/// process with several threads the kernel first waits for all processors (12 ms were seen); before the
/// first thread is created it need not, and later registrations find this one. Kernels without it
/// leave things as they are.
pub fn register_barriers() {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    // SAFETY: the call takes numbers, and changes nothing but a mark on the process.
    unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) };
}

/// A barrier for every thread of the process at once: what each has stored before is seen by the caller,
/// and what the caller has stored before is seen by each. So one side of a pair pays for both, the rare one.
/// `false` where the kernel has none, or [`register_barriers`] was not called.
pub fn barrier_for_all() -> bool {
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    // SAFETY: the call takes numbers, and changes no memory.
    unsafe { libc::syscall(libc::SYS_membarrier, PRIVATE_EXPEDITED, 0, 0) == 0 }
}

/// The least that any group on the way to the root leaves.
fn group_room(groups: &str, root: &Path) -> Option<u64> {
    let mut least = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, names) = if controllers.is_empty() {
            (root.to_owned(), ["memory.max", "memory.current", "inactive_file "])
        } else if controllers.split(',').any(|it| it == "memory") {
            let names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "];
            (root.join("memory"), names)
        } else {
            continue;
        };
        // A container may see its own group as the root, so that a part of the path is not there.
        for group in Path::new(group.trim_start_matches('/')).ancestors() {
            least = least.into_iter().chain(room(&root.join(group), names)).min();
        }
    }
    least
}

/// What one group leaves; `None` without a limit.
fn room(group: &Path, [limit, usage, cache]: [&str; 3]) -> Option<u64> {
    let number = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let (limit, usage) = (number(limit)?, number(usage)?);
    // Version 1 has a huge number for none.
    if limit > u64::MAX / 4 {
        return None;
    }
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    Some((limit.saturating_sub(usage)).saturating_add(field(&stat, cache).unwrap_or(0)).min(limit))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_how_much_it_has() {
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn a_barrier_takes_a_registration() {
        register_barriers();
        assert!(barrier_for_all());
    }

    #[test]
    fn the_narrowest_group_counts_in_both_versions() {
        let root = std::env::temp_dir().join(format!("ancm-memory-{}", std::process::id()));
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "1000\n");
        write("a/memory.current", "900\n");
        write("a/memory.stat", "anon 1\ninactive_file 50\n");
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "700\n");
        write("memory/c/memory.limit_in_bytes", "800\n");
        write("memory/c/memory.usage_in_bytes", "790\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/memory.usage_in_bytes", "790\n");
        assert_eq!(group_room("0::/a/b\n", &root), Some(150));
        assert_eq!(group_room("4:cpu,memory:/c/gone\n0::/a/b\nnonsense", &root), Some(10));
        assert_eq!(group_room("0::/x\n", &root), None);
        fs::remove_dir_all(root).unwrap();
    }
}
