//! A running child, known by descriptor rather than by number.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::{traces, tree::Seen};
use crate::cgroup;
use crate::check;
use crate::poll::{Readiness, poll};
use crate::signal::Signal;

/// The number of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pid(libc::pid_t);

impl Pid {
    /// The number of this process.
    pub fn own() -> Self {
        // SAFETY: asks for our own number; cannot fail.
        Self(unsafe { libc::getpid() })
    }

    /// The number.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A child process.
///
/// Dropping it neither ends nor waits for it. Its descriptor ([`AsFd`]) becomes readable when the
/// process has ended; until [`Child::wait`] has answered, the number cannot mean another process.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    has_group: bool,
    status: Option<ExitStatus>,
    cpu_time: Duration,
    /// Kills for lack of memory before it was there.
    memory_kills: Option<u64>,
    /// When it has begun, and where it has its temporary files.
    traces: Option<(u64, PathBuf)>,
    /// Our end of its standard output, if it is a pipe.
    pub stdout: Option<OwnedFd>,
    /// Our end of its standard error, if it is a pipe.
    pub stderr: Option<OwnedFd>,
}

impl Child {
    pub(super) fn new(
        pid: libc::pid_t,
        pidfd: OwnedFd,
        has_group: bool,
        temporary: PathBuf,
        stdout: Option<OwnedFd>,
        stderr: Option<OwnedFd>,
    ) -> Self {
        Self {
            pid: Pid(pid),
            pidfd,
            has_group,
            status: None,
            cpu_time: Duration::ZERO,
            memory_kills: cgroup::memory_kills(),
            traces: Seen::look(pid).map(|seen| (seen.started, temporary)),
            stdout,
            stderr,
        }
    }

    /// Whether it was killed, and the kernel has killed somebody in our control group for lack of
    /// memory since its start. Known once it was waited for.
    pub fn was_killed_for_memory(&self) -> bool {
        let was_killed = self.status.and_then(|status| status.signal()) == Some(libc::SIGKILL);
        was_killed && self.memory_kills.is_some_and(|before| cgroup::memory_kills() > Some(before))
    }

    /// The CPU time that it has taken, and those of its children that it has waited for. Known once
    /// it was waited for.
    pub fn cpu_time(&self) -> Duration {
        self.cpu_time
    }

    /// Its exit status if it has ended; never waits.
    ///
    /// # Errors
    ///
    /// What the system says, for instance when somebody else has waited for it.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.wait_with(libc::WNOHANG)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// As [`Child::try_wait`].
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.wait_with(0)? {
                return Ok(status);
            }
        }
    }

    /// Sends `signal` to the process; nothing happens when it has ended.
    ///
    /// # Errors
    ///
    /// What the system says, for instance when the process has changed its user.
    pub fn kill(&self, signal: Signal) -> io::Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: plain system call on a descriptor that we own; no information is passed.
        let code = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal.number(),
                no_info,
                0,
            )
        };
        ignore_gone(if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) })
    }

    /// Sends `signal` to its whole process group, which may outlive it. Without a group of its own
    /// only the process is meant. Nothing happens once it was waited for: the number of the group
    /// may then belong to others.
    ///
    /// # Errors
    ///
    /// As [`Child::kill`].
    pub fn kill_group(&self, signal: Signal) -> io::Result<()> {
        if !self.has_group || self.status.is_some() {
            return self.kill(signal);
        }
        // SAFETY: the child leads the group and was not waited for, so the number means its group.
        let code = unsafe { libc::kill(-self.pid.0, signal.number()) };
        ignore_gone(check(code).map(drop))
    }

    /// Whether it has ended, without waiting for it; the number stays its own.
    pub fn has_ended(&self) -> bool {
        let watched = [(self.pidfd.as_fd(), Readiness::READ)];
        let found = poll(&watched, Some(Duration::ZERO));
        self.status.is_some() || found.is_ok_and(|found| found[0].readable)
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    fn wait_with(&mut self, flags: libc::c_int) -> io::Result<Option<ExitStatus>> {
        if self.status.is_some() {
            return Ok(self.status);
        }
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // The function of the C library has no parameter for what was used.
        // SAFETY: `info` and `usage` outlive the call; the descriptor is ours and open.
        let code = unsafe {
            let (info, usage) = (info.as_mut_ptr(), usage.as_mut_ptr());
            let (fd, flags) = (self.pidfd.as_raw_fd(), libc::WEXITED | flags);
            libc::syscall(libc::SYS_waitid, libc::P_PIDFD, fd, info, flags, usage)
        };
        match check(i32::try_from(code).unwrap_or(-1)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(error),
        }
        // SAFETY: zeroed before, so initialised whatever the kernel wrote; the status is meaningful
        // because a child was reported, which `si_pid` says.
        let (pid, status, reason) = unsafe {
            let info = info.assume_init();
            (info.si_pid(), info.si_status(), info.si_code)
        };
        if pid == 0 {
            return Ok(None);
        }
        // SAFETY: zeroed before, so initialised whatever the kernel wrote.
        let usage = unsafe { usage.assume_init() };
        self.cpu_time = duration(usage.ru_utime) + duration(usage.ru_stime);
        let raw = match reason {
            libc::CLD_EXITED => (status & 0xff) << 8,
            libc::CLD_DUMPED => status | 0x80,
            _ => status,
        };
        self.status = Some(ExitStatus::from_raw(raw));
        if let Some((started, folder)) = self.traces.take() {
            traces::remove(&folder, self.pid.0, started);
        }
        Ok(self.status)
    }
}

fn duration(time: libc::timeval) -> Duration {
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_micros(part(time.tv_usec))
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

pub(super) fn ignore_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result,
    }
}
