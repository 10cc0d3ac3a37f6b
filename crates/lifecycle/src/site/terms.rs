//! The terms of a site: its limits, what it is told, and what it says.

use std::time::Duration;

use crate::Reason;
use crate::generation::{Payload, StartFailure};
use crate::ids::GenerationId;
use crate::restart::Pause;

/// The limits of one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For a start of the application.
    pub start_limit: Duration,
    /// For requests in flight and the application's own stop.
    pub drain_limit: Duration,
    /// Whether a new generation may start beside the old one. Without it the old one ends first,
    /// and requests wait in the queue meanwhile.
    pub overlap: bool,
    /// `rapidFailsPerMinute`: beyond so many ends and failed starts within a minute the application
    /// is not started before the minute is over.
    pub rapid_fails_per_minute: u32,
    /// Whether a start that took too long is made again by itself.
    pub repeats_late_starts: bool,
    /// Makes the pauses of this site its own.
    pub seed: u64,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The process has ended and was waited for.
    Exited(GenerationId),
    /// The worker reported that the start failed.
    Failed(GenerationId),
    /// The worker reported that the start took too long.
    Late(GenerationId),
    /// There is no process: it could not be started.
    NotSpawned(GenerationId),
    /// `app_offline.htm` has come, or gone.
    Offline(bool),
    /// An operator wants the application stopped, or started again.
    Halted(bool),
    /// Nobody has asked for long: the application is not needed.
    Idle,
    /// The worker serves.
    Ready(GenerationId),
    /// A new generation is wanted.
    Recycle(Reason),
    /// Stop, letting requests finish.
    Stop,
    /// Stop without waiting for anything.
    StopAtOnce,
    /// The application stops by itself.
    Stopping(GenerationId),
    /// Time has passed.
    Tick,
    /// Somebody asks, and nobody serves.
    Wanted,
}

/// What to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell that the addresses are served; once in the life of a site.
    Announce,
    /// Ask a worker to finish what it has and end.
    Drain {
        /// The worker.
        id: GenerationId,
        /// How long it may take.
        limit: Duration,
    },
    /// Compose the report of a failed start; pages that start later show it.
    Explain {
        /// The generation that failed.
        id: GenerationId,
        /// Why.
        why: StartFailure,
        /// How long it takes until the application is started again; none if nobody does so.
        retry: Option<Pause>,
    },
    /// Everything has ended; the site is stopped.
    Finish,
    /// End a process now.
    Kill(GenerationId),
    /// Start a worker.
    Start {
        /// Its name.
        id: GenerationId,
        /// What it serves.
        payload: Payload,
    },
    /// Tell a person.
    Tell(Notice),
}

/// What a person may want to know about the life of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A serving generation ended unasked.
    Died {
        /// The generation.
        id: GenerationId,
        /// How long it takes until the application is started again.
        restart: Pause,
    },
    /// A generation did not end within its limit and is killed.
    DrainIncomplete(GenerationId),
    /// The application is stopped because an operator wants it.
    Halted,
    /// The application is stopped because nobody asks.
    Idle,
    /// There is no room for two generations: the old one ends before the new one is started.
    NoRoom,
    /// The application is offline: what its file says is served.
    Offline,
    /// A generation serves again, after a failure or in place of another.
    Replaced(GenerationId),
    /// The application stops by itself; a new generation follows.
    Stopping(GenerationId),
}
