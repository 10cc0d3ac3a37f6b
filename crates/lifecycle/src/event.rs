//! What an operator is told: one variant per event, with a number that does not change.
//!
//! Numbers below 1100 are those of the Windows module's event log, where it has the event; ours
//! begin at 1100. A quiet hour has no events.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::GenerationId;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A change in the life of a site.
    Information,
    /// We coped; look soon.
    Warning,
    /// An operator must act.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Information => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Something an operator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The configuration was read again and cannot be used.
    ConfigurationRefused {
        /// How many findings prevent a start.
        errors: usize,
    },
    /// The supervisor and a worker do not understand each other.
    ControlLost {
        /// The worker's generation.
        generation: GenerationId,
        /// What went wrong.
        reason: String,
    },
    /// A generation did not end within its limit.
    DrainIncomplete {
        /// The generation.
        generation: GenerationId,
    },
    /// A generation ended with requests unfinished.
    ExchangesLeft {
        /// The generation.
        generation: GenerationId,
        /// How many.
        left: usize,
        /// Which.
        report: String,
    },
    /// A serving generation ended unasked.
    GenerationDied {
        /// The generation.
        generation: GenerationId,
        /// Its process.
        pid: i32,
        /// How it ended.
        ending: String,
        /// What follows.
        follows: String,
    },
    /// An operator has stopped the application.
    Halted,
    /// The application is stopped because nobody asks.
    Idle,
    /// A new generation has to wait for the end of the one before, for lack of memory.
    NoRoom {
        /// What a second one would need, in bytes.
        needed: u64,
        /// What there is.
        available: u64,
    },
    /// Operators' commands cannot be taken.
    NoControl {
        /// Why.
        reason: String,
    },
    /// A generation executes a copy of the application's code.
    Snapshot {
        /// The generation.
        generation: GenerationId,
        /// How many files were copied.
        files: usize,
        /// How large they are together.
        bytes: u64,
        /// How long that took.
        took_ms: u64,
        /// Where they are.
        dir: String,
    },
    /// A part of the application's folder is not watched.
    NotWatched {
        /// Which, and why.
        what: String,
    },
    /// `app_offline.htm` is there and served.
    Offline,
    /// A generation has ended as it was asked to, with nothing left undone.
    Ended {
        /// The generation.
        generation: GenerationId,
    },
    /// A new generation is wanted.
    Recycling {
        /// Why.
        reason: String,
    },
    /// A generation serves: the first, or one after a failure or in place of another.
    Started {
        /// The generation.
        generation: GenerationId,
        /// Why there is one.
        reason: String,
    },
    /// A start failed again; the report says more.
    StartFailed {
        /// The generation.
        generation: GenerationId,
        /// Number and cause.
        cause: String,
        /// What the page calls it.
        reference: String,
        /// When the next attempt is.
        retry: String,
    },
    /// The kernel gives no io_uring, which was asked for.
    RingRefused {
        /// What it says.
        reason: String,
    },
    /// The application stops by itself.
    Stopping {
        /// The generation.
        generation: GenerationId,
        /// What is known of the reason.
        reason: String,
    },
    /// A second signal ends everything at once.
    StoppedAtOnce,
}

impl Event {
    /// Its number.
    pub const fn id(&self) -> u16 {
        match self {
            Self::DrainIncomplete { .. } => 1005,
            Self::StartFailed { .. } => 1010,
            Self::Offline | Self::Recycling { .. } => 1012,
            Self::Started { .. } => 1032,
            Self::Ended { .. } | Self::Stopping { .. } => 1033,
            Self::ConfigurationRefused { .. } => 1034,
            Self::GenerationDied { .. } => 1100,
            Self::ControlLost { .. } => 1101,
            Self::ExchangesLeft { .. } => 1102,
            Self::StoppedAtOnce => 1103,
            Self::RingRefused { .. } => 1108,
            Self::Snapshot { .. } => 1126,
            Self::NoControl { .. } => 1136,
            Self::Halted => 1131,
            Self::Idle => 1132,
            Self::NotWatched { .. } => 1133,
            Self::NoRoom { .. } => 1135,
        }
    }

    /// How much it matters.
    pub const fn level(&self) -> Level {
        match self {
            Self::Ended { .. }
            | Self::Halted
            | Self::Idle
            | Self::Offline
            | Self::Recycling { .. }
            | Self::Snapshot { .. }
            | Self::Started { .. }
            | Self::Stopping { .. } => Level::Information,
            Self::DrainIncomplete { .. }
            | Self::ExchangesLeft { .. }
            | Self::NoControl { .. }
            | Self::NoRoom { .. }
            | Self::NotWatched { .. }
            | Self::RingRefused { .. }
            | Self::StoppedAtOnce => Level::Warning,
            Self::ConfigurationRefused { .. }
            | Self::ControlLost { .. }
            | Self::GenerationDied { .. }
            | Self::StartFailed { .. } => Level::Error,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigurationRefused { errors } => {
                write!(f, "the configuration has {errors} error(s); going on with the one before")
            }
            Self::ControlLost { generation, reason } => {
                write!(f, "lost control of generation {generation}: {reason}; it is killed")
            }
            Self::DrainIncomplete { generation } => {
                write!(f, "generation {generation} did not end within its limit and is killed")
            }
            Self::Ended { generation } => {
                write!(f, "generation {generation} has ended; nothing was left to do")
            }
            Self::ExchangesLeft { generation, left, report } => {
                write!(
                    f,
                    "generation {generation} ended with {left} request(s) unfinished: {report}"
                )
            }
            Self::GenerationDied { generation, pid, ending, follows } => {
                write!(f, "generation {generation} (pid {pid}) {ending}; {follows}")
            }
            Self::Halted => f.write_str(
                "an operator has stopped the application: 503 is answered until `ancm start`",
            ),
            Self::Idle => f.write_str(
                "nobody has asked for the time of idleTimeout: the application is stopped until \
                 somebody does",
            ),
            Self::NoControl { reason } => write!(
                f,
                "no control socket ({reason}); `ancm status` and its like will not find this process"
            ),
            Self::NoRoom { needed, available } => {
                let [needed, available] = [needed, available].map(|it| *it as f64 / 1_048_576.0);
                write!(
                    f,
                    "no memory for two generations at once ({needed:.1} MiB would be needed, \
                     {available:.1} MiB are available): the old one ends first, and requests wait \
                     until the new one serves"
                )
            }
            Self::NotWatched { what } => write!(
                f,
                "not all of the application's folder is watched: {what}; after a change there, \
                 `ancm recycle`"
            ),
            Self::Snapshot { generation, files, bytes, took_ms, dir } => {
                let mib = *bytes as f64 / 1_048_576.0;
                write!(
                    f,
                    "generation {generation} runs from a snapshot: {files} files, {mib:.1} MiB, \
                     taken in {took_ms} ms, {dir}"
                )
            }
            Self::Offline => f.write_str(
                "app_offline.htm is there: the application is stopped and the file is served",
            ),
            Self::Recycling { reason } => {
                write!(f, "recycling: a new generation is started ({reason})")
            }
            Self::RingRefused { reason } => {
                write!(f, "the kernel refuses io_uring ({reason}); epoll does its work")
            }
            Self::Started { generation, reason } => {
                write!(f, "generation {generation} serves now: {reason}")
            }
            Self::StartFailed { generation, cause, reference, retry } => write!(
                f,
                "generation {generation} did not start: {cause} (reference {reference}); {retry}"
            ),
            Self::Stopping { generation, reason } => write!(
                f,
                "the application stops by itself (generation {generation}: {reason}); \
                 a new generation follows"
            ),
            Self::StoppedAtOnce => f.write_str("second signal: stopped at once"),
        }
    }
}
