//! What `/proc` says about the machine and about a tree of processes.
//!
//! CPU time is counted in ticks of 10 ms, so a round should be a second or more. A process that
//! ended keeps counting: in the children's time of the parent that waited for it.

use std::{collections::HashMap, fs, path::Path, time::Instant};

use anyhow::{Context, Result};

/// Ticks per second in `/proc`, on every Linux that .NET runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The use of a tree of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// User and system time since the start, in seconds.
    pub(super) cpu_seconds: f64,
    /// Voluntary and other switches of the threads that live.
    pub(super) context_switches: u64,
    /// Resident memory, summed over processes.
    pub(super) resident_kib: u64,
}

/// A line of `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Its own and its ended children's.
    ticks: u64,
}

/// The use of the processes `roots` and all below them.
pub(super) fn usage(roots: &[u32]) -> Usage {
    let mut usage = Usage::default();
    for (pid, stat) in tree(roots) {
        usage.cpu_seconds += stat.ticks as f64 / TICKS_PER_SECOND;
        let folder = Path::new("/proc").join(pid.to_string());
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        usage.resident_kib += field(&status, "VmRSS:");
        for thread in fs::read_dir(folder.join("task")).into_iter().flatten().flatten() {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            usage.context_switches += field(&status, "voluntary_ctxt_switches:")
                + field(&status, "nonvoluntary_ctxt_switches:");
        }
    }
    usage
}

/// The processes `roots` and all below them.
pub(super) fn processes_of(roots: &[u32]) -> Vec<u32> {
    tree(roots).into_iter().map(|(pid, _)| pid).collect()
}

/// What others use of the processors while something is measured.
pub(super) struct Foreign {
    begun: Instant,
    own: f64,
    busy: f64,
}

impl Foreign {
    /// From now on.
    pub(super) fn begin() -> Result<Self> {
        Ok(Foreign { begun: Instant::now(), own: own_cpu_seconds(), busy: busy_cpu_seconds()? })
    }

    /// Cores that others have used since.
    pub(super) fn cores(&self) -> Result<f64> {
        let (busy, own) = (busy_cpu_seconds()? - self.busy, own_cpu_seconds() - self.own);
        Ok(((busy - own) / self.begun.elapsed().as_secs_f64()).max(0.0))
    }
}

/// The CPU seconds of this process and all that it started.
fn own_cpu_seconds() -> f64 {
    let all = tree(&[std::process::id()]);
    all.iter().map(|(_, stat)| stat.ticks).sum::<u64>() as f64 / TICKS_PER_SECOND
}

/// The CPU seconds that the whole machine has spent, those taken by its host included.
fn busy_cpu_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let ticks = busy_ticks(&text).context("cannot read /proc/stat")?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

fn tree(roots: &[u32]) -> Vec<(u32, Stat)> {
    let mut stats = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let text = fs::read_to_string(entry.path().join("stat"));
        if let (Some(pid), Ok(text)) = (pid, text)
            && let Some(stat) = parse_stat(&text)
        {
            stats.insert(pid, stat);
        }
    }
    let is_below = |mut pid: u32| {
        // Bounded, since the table was not read at one instant.
        for _ in 0..64 {
            if roots.contains(&pid) {
                return true;
            }
            match stats.get(&pid) {
                Some(stat) => pid = stat.parent,
                None => return false,
            }
        }
        false
    };
    stats.iter().filter(|(pid, _)| is_below(**pid)).map(|(pid, stat)| (*pid, *stat)).collect()
}

/// `pid (name) state ppid ...`; the name may hold blanks and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Counted from the state, which proc(5) calls the third field.
    let number = |index: usize| fields.get(index - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        ticks: number(14)? + number(15)? + number(16)? + number(17)?,
    })
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guests are in user.
fn busy_ticks(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("cpu "))?;
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields[..] else {
        return None;
    };
    Some(user + nice + system + irq + softirq + steal)
}

/// The number after a name at the start of a line of `/proc/<pid>/status`.
fn field(status: &str, name: &str) -> u64 {
    let rest = status.lines().find_map(|line| line.strip_prefix(name));
    rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = "42 (.NET (pool) 1) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 17 0 99 1 2";
        assert_eq!(parse_stat(text), Some(Stat { parent: 7, ticks: 127 }));
        assert_eq!(parse_stat("42 (short) S 7"), None);
    }

    #[test]
    fn idle_time_is_not_busy() {
        let text = "cpu  10 1 20 4000 500 2 3 4 9 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_ticks(text), Some(40));
        assert_eq!(busy_ticks("intr 1 2 3"), None);
    }

    #[test]
    fn fields_of_status_are_found_by_their_whole_name() {
        let status = "VmHWM:\t 900 kB\nVmRSS:\t  512 kB\nvoluntary_ctxt_switches:\t5\n\
                      nonvoluntary_ctxt_switches:\t7\n";
        assert_eq!(field(status, "VmRSS:"), 512);
        assert_eq!(field(status, "voluntary_ctxt_switches:"), 5);
        assert_eq!(field(status, "nonvoluntary_ctxt_switches:"), 7);
        assert_eq!(field(status, "VmSwap:"), 0);
    }

    #[test]
    fn a_process_sees_itself() {
        assert!(usage(&[std::process::id()]).resident_kib > 0);
    }
}
