//! What operators are told, one variant per event of the module, with the module's numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use engine::UpstreamAddress;
use lifecycle::StartReport;
use lifecycle::restart::{Pause, Wait};

/// Something that happened to a backend. People search for the numbers, so they are the module's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A backend process ended that nobody had asked to.
    BackendExited {
        /// Its process.
        pid: i32,
        /// How it ended, in words.
        exit: String,
        /// How long it had been ready.
        served_for: Duration,
        /// When the next one is started.
        restart_after: Pause,
        /// The last lines that it wrote, where others write beside it.
        last_lines: Vec<String>,
    },
    /// A backend runs, but does not listen any more.
    BackendSilent {
        /// Its process.
        pid: i32,
    },
    /// A backend listens.
    BackendStarted {
        /// Its process.
        pid: i32,
        /// The process that listens: itself, or a child of its own.
        listening_pid: i32,
        /// Where it listens.
        address: UpstreamAddress,
        /// How long the start took.
        took: Duration,
    },
    /// Further requests failed on their way through a backend.
    MoreRequestsFailed {
        /// Since the one that was told.
        within: Duration,
        /// How many, by what their failure is called and what was going on.
        more: BTreeMap<(&'static str, &'static str), u64>,
    },
    /// A request failed on its way through a backend.
    RequestFailed {
        /// What the failure is called.
        name: &'static str,
        /// The request and its failure, with phase and limit.
        text: String,
    },
    /// A backend did not end within its limit and was killed.
    GracefulStopFailed {
        /// Its process.
        pid: i32,
        /// The limit.
        limit: Duration,
    },
    /// Backends crashed more often in a minute than `rapidFailsPerMinute` allows.
    RapidFailLimitExceeded {
        /// The limit.
        per_minute: u32,
        /// What requests are answered with.
        report: Arc<StartReport>,
        /// When the next one is started.
        retry_after: Pause,
    },
    /// There is no place for sockets; backends listen on ports.
    NoRunDirectory {
        /// Why not.
        reason: String,
    },
    /// A backend was told to stop.
    ShutdownMessageSent {
        /// Its process.
        pid: i32,
        /// The status of the answer; `None` when there was none.
        status: Option<u16>,
    },
    /// One attempt to start a backend failed.
    StartAttemptFailed {
        /// The step, in the module's words.
        stage: &'static str,
        /// What went wrong.
        reason: String,
        /// How many attempts are left.
        attempts_left: u32,
    },
    /// All attempts to start a backend failed.
    StartFailed {
        /// What is known, with the beginning of what the last one wrote.
        report: Arc<StartReport>,
        /// When it is tried again; `None` at the very first start, about which the caller decides.
        retry_after: Option<Pause>,
    },
}

/// How much an event matters, as in the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// An operator must act.
    Error,
    /// A change of life cycle.
    Information,
    /// We coped; look soon.
    Warning,
}

impl Event {
    /// The module's event number.
    pub fn id(&self) -> u16 {
        match self {
            Self::StartAttemptFailed { .. } => 1000,
            Self::BackendStarted { .. } => 1001,
            // The module has no such events.
            Self::NoRunDirectory { .. } => 0,
            Self::MoreRequestsFailed { .. } | Self::RequestFailed { .. } => 1130,
            Self::RapidFailLimitExceeded { .. } => 1003,
            Self::GracefulStopFailed { .. } => 1005,
            Self::ShutdownMessageSent { .. } => 1006,
            Self::StartFailed { .. } => 1020,
            Self::BackendExited { .. } => 1030,
            Self::BackendSilent { .. } => 1138,
        }
    }

    /// The stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BackendExited { .. } => "backend-exited",
            Self::BackendSilent { .. } => "backend-silent",
            Self::BackendStarted { .. } => "backend-started",
            Self::GracefulStopFailed { .. } => "graceful-stop-failed",
            Self::MoreRequestsFailed { .. } => "more-requests-failed",
            Self::NoRunDirectory { .. } => "no-run-directory",
            Self::RapidFailLimitExceeded { .. } => "rapid-fail-limit-exceeded",
            Self::RequestFailed { .. } => "request-failed",
            Self::ShutdownMessageSent { .. } => "shutdown-message-sent",
            Self::StartAttemptFailed { .. } => "start-attempt-failed",
            Self::StartFailed { .. } => "start-failed",
        }
    }

    /// How much it matters. The module reports an exceeded crash limit as information; there the
    /// application is down, so it is an error here.
    pub fn severity(&self) -> Severity {
        match self {
            Self::RapidFailLimitExceeded { .. } | Self::StartFailed { .. } => Severity::Error,
            Self::BackendStarted { .. } | Self::ShutdownMessageSent { .. } => Severity::Information,
            Self::BackendExited { .. }
            | Self::BackendSilent { .. }
            | Self::GracefulStopFailed { .. }
            | Self::MoreRequestsFailed { .. }
            | Self::NoRunDirectory { .. }
            | Self::RequestFailed { .. }
            | Self::StartAttemptFailed { .. } => Severity::Warning,
        }
    }
}

/// One line, and what a backend wrote where it tells more than the log.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackendExited { pid, exit, served_for, restart_after, last_lines } => {
                write!(f, "backend process {pid} {exit} after serving for {served_for:.1?}; ")?;
                match restart_after {
                    Pause { why: Wait::Change, length } => write!(
                        f,
                        "the next one is started when the files of the application are changed no \
                         more, in {} s at the latest",
                        length.as_secs()
                    )?,
                    pause if pause.is_none() => f.write_str("the next one is started now")?,
                    pause => write!(f, "the next one is started in {pause}")?,
                }
                if !last_lines.is_empty() {
                    f.write_str("; its last lines:")?;
                }
                last_lines.iter().try_for_each(|line| write!(f, "\n    | {line}"))
            }
            Self::BackendSilent { pid } => write!(
                f,
                "backend process {pid} runs, but nobody listens for it any more; it is told to stop, and \
                 another is started"
            ),
            Self::BackendStarted { pid, listening_pid, address, took } => {
                match address {
                    UpstreamAddress::Tcp(address) => {
                        write!(f, "backend process {pid} listens on port {}", address.port())?;
                    }
                    UpstreamAddress::Unix(path) => {
                        write!(f, "backend process {pid} listens on {}", path.display())?;
                    }
                }
                write!(f, " after {took:.1?}")?;
                if pid == listening_pid { Ok(()) } else { write!(f, " (process {listening_pid})") }
            }
            Self::GracefulStopFailed { pid, limit } => {
                write!(f, "backend process {pid} did not end within {limit:?} and was killed")
            }
            Self::MoreRequestsFailed { within, more } => {
                let count: u64 = more.values().sum();
                write!(f, "{count} more requests failed within {within:?}: ")?;
                for (at, ((name, doing), count)) in more.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{count} {name} while {doing}")?;
                }
                Ok(())
            }
            Self::RequestFailed { text, .. } => f.write_str(text),
            Self::NoRunDirectory { reason } => write!(
                f,
                "no private folder for sockets can be had ({reason}); backends listen on ports"
            ),
            Self::RapidFailLimitExceeded { per_minute, retry_after, .. } => write!(
                f,
                "backends crashed more than {per_minute} times within a minute; the next start is \
                 in {retry_after}"
            ),
            Self::ShutdownMessageSent { pid, status: Some(status) } => {
                write!(f, "backend process {pid} answered the shutdown message with {status}")
            }
            Self::ShutdownMessageSent { pid, status: None } => {
                write!(f, "backend process {pid} did not answer the shutdown message")
            }
            Self::StartAttemptFailed { stage, reason, attempts_left } => write!(
                f,
                "an attempt to start a backend failed at {stage}: {reason} (attempts left: \
                 {attempts_left})"
            ),
            Self::StartFailed { report, retry_after } => {
                write!(f, "no backend could be started: {}", report.summary)?;
                match retry_after {
                    Some(pause) => write!(f, "; the next try is in {pause}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Code;

    use super::*;

    #[test]
    fn lines_are_for_people() {
        let ms = Duration::from_millis;
        let port = |port| UpstreamAddress::Tcp(([127, 0, 0, 1], port).into());
        for (event, id, line) in [
            (
                Event::BackendStarted {
                    pid: 7,
                    listening_pid: 7,
                    address: port(80),
                    took: ms(1234),
                },
                1001,
                "backend process 7 listens on port 80 after 1.2s",
            ),
            (
                Event::BackendStarted { pid: 7, listening_pid: 9, address: port(80), took: ms(90) },
                1001,
                "backend process 7 listens on port 80 after 90.0ms (process 9)",
            ),
            (
                Event::BackendExited {
                    pid: 7,
                    exit: "exited with code 3".into(),
                    served_for: ms(61_000),
                    restart_after: Pause::NONE,
                    last_lines: vec!["a".into(), "b".into()],
                },
                1030,
                "backend process 7 exited with code 3 after serving for 61.0s; the next one is \
                 started now; its last lines:\n    | a\n    | b",
            ),
            (
                Event::ShutdownMessageSent { pid: 7, status: None },
                1006,
                "backend process 7 did not answer the shutdown message",
            ),
            (
                Event::RapidFailLimitExceeded {
                    per_minute: 3,
                    report: Arc::new(StartReport::new(Code::BackendDidNotStart, "x")),
                    retry_after: Pause::NONE.at_least(Some(ms(41_900))),
                },
                1003,
                "backends crashed more than 3 times within a minute; the next start is in 41.9 s: \
                 rapidFailsPerMinute is passed",
            ),
        ] {
            assert_eq!((event.id(), event.to_string().as_str()), (id, line));
        }
    }
}
