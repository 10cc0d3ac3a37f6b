//! Exit codes of our programs, and exit statuses of others in words.
//!
//! Scripts rely on the codes of `ancm`; those of the worker are between us.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Everything went as asked; for `run`: stopped by a signal and drained.
pub const OK: u8 = 0;
/// Findings prevent a start (`check`, `run`, `deploy`).
pub const REFUSED: u8 = 1;
/// The command line is not understood.
pub const USAGE: u8 = 2;
/// An address cannot be listened on.
pub const ADDRESS: u8 = 3;
/// The installation is incomplete, for instance `ancm-worker` is missing.
pub const INSTALLATION: u8 = 4;
/// What was asked of a supervisor was not done; the answer says why (`recycle`, …).
pub const FAILED: u8 = 5;
/// No supervisor serves the folder (`status`, `recycle`, …).
pub const NOT_RUNNING: u8 = 6;
/// The system refuses something that is needed at all times, such as memory or descriptors.
pub const SYSTEM: u8 = 71;

/// A worker's application could not be started; the supervisor has the report.
pub const WORKER_START_FAILED: u8 = 10;
/// A worker's drain reached its deadline with exchanges or the application still running.
pub const WORKER_DRAIN_INCOMPLETE: u8 = 11;
/// A worker could not follow its supervisor: the first message is missing or not understood.
pub const WORKER_CONTROL: u8 = 12;

/// The end that was forced by a second signal: 128 and its number, as shells report it.
pub const fn forced_by(signal: i32) -> u8 {
    128 + (signal & 0x7f) as u8
}

/// How a process ended, in words that a person can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    status: ExitStatus,
    lacked_memory: bool,
}

impl Ending {
    /// The ending that `status` describes.
    pub const fn new(status: ExitStatus) -> Self {
        Self { status, lacked_memory: false }
    }

    /// The same, of a process that the system is known to have killed for lack of memory.
    #[must_use]
    pub const fn for_lack_of_memory(self, lacked_memory: bool) -> Self {
        Self { lacked_memory, ..self }
    }

    /// Whether it ended by itself, with code 0.
    pub fn is_clean(self) -> bool {
        self.status.success()
    }

    /// Its exit code, unless a signal ended it.
    pub fn code(self) -> Option<i32> {
        self.status.code()
    }

    /// Whether somebody has killed it (`kill -9`), and not the system for lack of memory: that says
    /// nothing against the program.
    pub fn is_by_hand(self) -> bool {
        const KILL: i32 = 9;
        self.signal() == Some(KILL) && !self.lacked_memory
    }

    /// The signal that ended it.
    pub fn signal(self) -> Option<i32> {
        self.status.signal()
    }
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        Self::new(status)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code() {
            write!(f, "exited with code {code}")?;
            return match code_words(code) {
                Some(words) => write!(f, " ({words})"),
                None => Ok(()),
            };
        }
        let Some(signal) = self.signal() else {
            return f.write_str("ended in an unknown way");
        };
        match signal_words(signal) {
            Some((name, _)) if self.lacked_memory => write!(
                f,
                "was ended by {name} (killed by the system for lack of memory: it used more than \
                 its control group or the machine has)"
            ),
            Some((name, words)) => write!(f, "was ended by {name} ({words})"),
            None => write!(f, "was ended by signal {signal}"),
        }
    }
}

/// Codes with a meaning beyond the application's own. The host library's codes are the low byte of
/// its status.
fn code_words(code: i32) -> Option<&'static str> {
    Some(match code {
        126 => "the program could not be executed",
        127 => "the program was not found",
        131 => "host library missing",
        134 => "aborted",
        137 => "killed, often for lack of memory",
        139 => "invalid memory access, or a dependency could not be resolved",
        140 => "a dependency of the application could not be resolved",
        143 => "asked to end",
        147 => "the runtimeconfig.json is not valid",
        148 => "not a runnable application",
        150 => "a framework that the application needs is not installed",
        _ => return None,
    })
}

/// Signals by the numbers of Linux on every architecture that .NET runs on.
fn signal_words(signal: i32) -> Option<(&'static str, &'static str)> {
    Some(match signal {
        1 => ("SIGHUP", "hang-up"),
        2 => ("SIGINT", "interrupt"),
        3 => ("SIGQUIT", "quit"),
        4 => ("SIGILL", "illegal instruction"),
        5 => ("SIGTRAP", "trap"),
        6 => ("SIGABRT", "aborted: unhandled exception, fail-fast or stack overflow"),
        7 => ("SIGBUS", "bus error"),
        8 => ("SIGFPE", "arithmetic error"),
        9 => ("SIGKILL", "killed: by an operator, or by the system for lack of memory"),
        10 => ("SIGUSR1", "a signal of the application's own"),
        11 => ("SIGSEGV", "invalid memory access"),
        12 => ("SIGUSR2", "a signal of the application's own"),
        13 => ("SIGPIPE", "broken pipe"),
        14 => ("SIGALRM", "alarm"),
        15 => ("SIGTERM", "asked to end"),
        24 => ("SIGXCPU", "limit of processor time reached"),
        25 => ("SIGXFSZ", "limit of file size reached"),
        31 => ("SIGSYS", "system call forbidden"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_told_in_words() {
        let words = |raw| Ending::new(ExitStatus::from_raw(raw)).to_string();
        assert_eq!(words(0), "exited with code 0");
        assert_eq!(words(5 << 8), "exited with code 5");
        assert!(words(150 << 8).starts_with("exited with code 150 (a framework"));
        assert!(words(6).starts_with("was ended by SIGABRT (aborted"));
        assert!(words(6 | 0x80).starts_with("was ended by SIGABRT"));
        assert_eq!(words(40), "was ended by signal 40");
        let killed = Ending::new(ExitStatus::from_raw(9)).for_lack_of_memory(true).to_string();
        assert!(killed.starts_with("was ended by SIGKILL (killed by the system"), "{killed}");
    }

    #[test]
    fn a_forced_end_is_reported_as_shells_do() {
        assert_eq!((forced_by(2), forced_by(15)), (130, 143));
    }
}
