//! The messages, in both directions.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use lifecycle::event::Level;
use lifecycle::{Disclosure, GenerationId, StartReport, Step};

/// From the supervisor to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub enum ToWorker {
    /// For an application that runs from its folder: somebody is writing there, or does so no more.
    Changing {
        /// Whether they are at it.
        is_on: bool,
    },
    /// Stop accepting, let requests finish, stop the application, end.
    Drain {
        /// How long this may take.
        deadline_ms: u64,
        /// The application is served by another generation.
        #[serde(default)]
        goes_on: bool,
    },
    /// Tell what the application has to do.
    Measure,
    /// What to serve; the first message, once.
    Start(Box<Start>),
    /// End now.
    Stop,
}

/// What a worker serves, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The worker's generation.
    pub generation: GenerationId,
    /// The application, or why there is none.
    pub payload: Payload,
    /// The listening sockets, in the order of their descriptors from [`crate::FIRST_LISTENER`].
    pub listeners: Vec<Listener>,
    /// The addresses as the application is told them, for instance `http://127.0.0.1:5000`.
    pub addresses: Vec<String>,
    /// How many lanes the engine has.
    pub lanes: usize,
    /// How lanes speak to the kernel.
    pub io: Io,
    /// How much pages tell anybody who asks.
    pub disclosure: Disclosure,
}

/// How the engine's lanes speak to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Io {
    /// What is best here.
    #[default]
    Auto,
    /// epoll.
    Epoll,
    /// io_uring, where the kernel permits it.
    Uring,
}

impl FromStr for Io {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "epoll" => Ok(Self::Epoll),
            "uring" => Ok(Self::Uring),
            _ => Err("expected auto, epoll or uring".to_owned()),
        }
    }
}

/// What a generation serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "payload", rename_all = "kebab-case")]
pub enum Payload {
    /// The page that explains a failed start.
    Failed {
        /// What is known about it.
        report: Box<StartReport>,
    },
    /// That an operator has stopped the application.
    Halted,
    /// What `app_offline.htm` says.
    Offline {
        /// The application's folder, in which the file is.
        dir: String,
    },
    /// The application.
    Run {
        /// Its description, in JSON; this crate does not know it.
        application: String,
    },
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Which of [`Start::addresses`] it belongs to.
    pub url: usize,
    /// The lane that accepts from it.
    pub lane: usize,
    /// What it is bound to, for people.
    pub address: String,
}

/// From a worker to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub enum ToSupervisor {
    /// A line of the debug log, for the operator to see.
    Debug {
        /// The line.
        line: String,
    },
    /// Accepting has stopped and requests have finished, or the limit was reached.
    Drained {
        /// Requests that had not finished.
        left: usize,
        /// Which, in one line; empty when there are none.
        report: String,
    },
    /// The start has failed; the worker ends.
    Failed {
        /// What the worker knows about it.
        report: Box<StartReport>,
    },
    /// The answer to [`ToWorker::Measure`].
    Load {
        /// Requests that the application has, or that wait for it.
        in_flight: usize,
        /// Connections that it has taken over for another protocol.
        upgraded: usize,
        /// Requests that it was given since it serves.
        taken: u64,
    },
    /// Something an operator should be told.
    Log {
        /// The number of the event.
        event: u16,
        /// How much it matters.
        level: Level,
        /// One line.
        text: String,
    },
    /// Requests are served.
    Ready,
    /// The application's code is executed from a copy.
    Snapshot {
        /// Where the copy is.
        dir: String,
        /// How many files were copied.
        files: usize,
        /// How large they are together.
        bytes: u64,
        /// How long that took.
        took_ms: u64,
    },
    /// A step of the start was reached.
    Step {
        /// The step.
        step: Step,
    },
    /// It serves, but has failed too many checks of its health in a row.
    Unhealthy,
    /// The application stops by itself; the worker drains and ends.
    Stopping {
        /// What is known of the reason.
        reason: String,
    },
}
