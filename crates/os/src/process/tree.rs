//! Processes by what `/proc` says of them: who descends from whom, and what is left of them.
//!
//! A number alone proves nothing, since numbers come back. What is signalled here is the process
//! that was seen, or nothing: its start time goes with its number.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use super::child::{Pid, ignore_gone};
use super::traces;
use crate::check;
use crate::limits;
use crate::signal::Signal;

/// A process as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub pid: i32,
    /// The number of its parent.
    pub parent: i32,
    /// The number of its process group.
    pub group: i32,
    /// It has ended and waits for its parent to ask how.
    pub has_ended: bool,
    /// In ticks since the system's start.
    pub(super) started: u64,
}

/// Makes this process the one to which descendants come whose own parents have ended, or no longer.
///
/// # Errors
///
/// What the system says; no system since Linux 3.4 does.
pub fn adopt_orphans(on: bool) -> io::Result<()> {
    // SAFETY: sets an attribute of this process; takes no pointer.
    let code = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(on)) };
    check(code).map(drop)
}

/// Every process that may be seen.
pub fn all() -> Vec<Seen> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Seen::look).collect()
}

/// The numbers of this process' children. `None` when the system does not say; [`all`] knows.
pub fn children() -> Option<Vec<i32>> {
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let mut children = Vec::new();
    for thread in threads.flatten() {
        // A thread that has ended meanwhile has given its children to another, which may have been
        // looked at before.
        let list = fs::read_to_string(thread.path().join("children")).ok()?;
        children.extend(list.split_ascii_whitespace().flat_map(str::parse::<i32>));
    }
    Some(children)
}

/// `root` if it is among `all`, and all its descendants after it.
pub fn family(all: &[Seen], root: i32) -> Vec<Seen> {
    let mut family: Vec<Seen> = all.iter().filter(|seen| seen.pid == root).copied().collect();
    let mut next = 0;
    while let Some(parent) = family.get(next).map(|seen| seen.pid) {
        family.extend(all.iter().filter(|seen| seen.parent == parent && seen.pid != root));
        next += 1;
    }
    family
}

impl Seen {
    /// Looks at one process; `None` when there is none.
    pub fn look(pid: i32) -> Option<Self> {
        parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Sends `signal` to it; nothing happens when it is gone.
    ///
    /// # Errors
    ///
    /// What the system says, for instance when the process is another user's.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: plain system call on a number.
        let code = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(self.pid), 0) };
        let fd = match check(i32::try_from(code).unwrap_or(-1)) {
            // SAFETY: opened by the call above, and nobody else's.
            Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd) },
            Err(error) => return ignore_gone(Err(error)),
        };
        // INVARIANT: the descriptor means whoever had the number when it was opened.
        if Self::look(self.pid).is_none_or(|now| now.started != self.started) {
            return Ok(());
        }
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: plain system call on a descriptor that we own; no information is passed.
        let code = unsafe {
            let fd = fd.as_raw_fd();
            libc::syscall(libc::SYS_pidfd_send_signal, fd, signal.number(), no_info, 0)
        };
        ignore_gone(if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) })
    }

    /// Kills it, and takes away what .NET leaves of a process that is killed.
    ///
    /// # Errors
    ///
    /// As [`Self::signal`].
    pub fn kill(&self) -> io::Result<()> {
        let temporary = self.variable("TMPDIR").map(OsString::from_vec);
        self.signal(Signal::KILL)?;
        traces::remove(&traces::folder(temporary.as_deref()), self.pid, self.started);
        Ok(())
    }

    /// The CPU time that it has taken, and those of its children that it has waited for; nothing
    /// once it is gone.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        match parse(self.pid, &stat) {
            Some(now) if now.started == self.started => parse_cpu_time(&stat).unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }

    /// Takes it away if it is a child of this process that has ended, whether or not it was started
    /// by it. Must not be asked of a [`super::Child`], whose end would be lost.
    pub fn reap(&self) {
        if self.has_ended && self.parent == Pid::own().number() {
            let mut status = 0;
            // SAFETY: does not wait; `status` outlives the call. A child that has ended keeps its
            // number until it is taken away, which only this process can do.
            unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) };
            // Its variables went with its memory; most have ours.
            let temporary = std::env::var_os("TMPDIR");
            traces::remove(&traces::folder(temporary.as_deref()), self.pid, self.started);
        }
    }

    /// Whether it is past the point where it has memory, and so has no environment any more, and not
    /// yet one that [`Seen::reap`] takes away. Also of one that was executed without any variable.
    pub fn is_ending(&self) -> bool {
        match fs::read(format!("/proc/{}/environ", self.pid)) {
            Ok(environment) => environment.is_empty(),
            // What newer kernels say of a process without memory.
            Err(error) => error.raw_os_error() == Some(libc::ESRCH),
        }
    }

    /// The number with which it, or whoever it descends from, was branded by
    /// [`Command::brand`](super::Command::brand). `None` also when the system does not tell, or
    /// somebody has set the limit that the brand is.
    pub fn brand(&self) -> Option<u32> {
        limits::branded(&fs::read_to_string(format!("/proc/{}/limits", self.pid)).ok()?)
    }

    /// The value that the variable `name` had when its program was executed. `None` when it may not
    /// be asked, or has ended.
    pub fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let mut entries = environment.split(|byte| *byte == 0);
        entries.find_map(|entry| {
            entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec)
        })
    }
}

/// The name, in parentheses, may contain blanks and parentheses.
fn parse(pid: i32, stat: &str) -> Option<Seen> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    Some(Seen {
        pid,
        has_ended: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// Of itself and of its children, in user mode and in the kernel.
fn parse_cpu_time(stat: &str) -> Option<Duration> {
    // SAFETY: asks for a number; cannot fail.
    let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok()?;
    let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let ticks: u64 = fields.skip(11).take(4).filter_map(|it| it.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 1000 / per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "77 (a) S 5 (b) R 42 77 77 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let seen = parse(77, STAT).unwrap();
        assert_eq!((seen.parent, seen.group, seen.started), (42, 77, 4711));
        assert!(!seen.has_ended);
        assert_eq!(parse(1, "torn"), None);
    }

    #[test]
    fn cpu_time_is_that_of_a_process_and_of_those_it_has_waited_for() {
        let times = "1 2 30 400";
        let stat = STAT.replace("0 0 0 0 20 0", &format!("{times} 20 0"));
        // The usual unit everywhere.
        assert_eq!(parse_cpu_time(&stat), Some(Duration::from_millis(4330)));
        let own = Seen::look(Pid::own().number()).unwrap();
        while own.cpu_time().is_zero() {}
        let another = Seen { started: own.started + 1, ..own };
        assert_eq!(another.cpu_time(), Duration::ZERO);
    }

    #[test]
    fn descendants_are_found_over_generations() {
        let seen = |(pid, parent)| Seen { pid, parent, group: 0, has_ended: false, started: 0 };
        let all = [(2, 1), (3, 2), (4, 3), (5, 1), (1, 0)].map(seen);
        let mut found: Vec<i32> = family(&all, 2).iter().map(|seen| seen.pid).collect();
        found.sort_unstable();
        assert_eq!(found, [2, 3, 4]);
        assert!(family(&all, 9).is_empty());
    }

    #[test]
    fn only_who_was_seen_is_signalled() {
        let mut child =
            std::process::Command::new("sleep").env("A", "b").arg("60").spawn().unwrap();
        let seen = Seen::look(child.id().cast_signed()).unwrap();
        // Not every kernel says so.
        let children = children().unwrap_or_else(|| vec![child.id().cast_signed()]);
        assert!(children.contains(&child.id().cast_signed()), "{children:?}");
        assert!(family(&all(), Pid::own().number()).contains(&seen));
        // Between fork and exec it still has our environment.
        while seen.variable("A").as_deref() != Some(b"b") {
            std::thread::yield_now();
        }
        assert_eq!(seen.variable("B"), None);
        let another = Seen { started: seen.started + 1, ..seen };
        another.signal(Signal::KILL).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        seen.signal(Signal::KILL).unwrap();
        child.wait().unwrap();
        seen.signal(Signal::KILL).unwrap();
    }
}
