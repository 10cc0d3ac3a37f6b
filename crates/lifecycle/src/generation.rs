//! One generation: a worker process from spawn to exit.

use std::time::Duration;

use crate::Reason;
use crate::ids::GenerationId;

/// What a generation serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The application.
    App,
    /// That an operator has stopped the application.
    Halted,
    /// What `app_offline.htm` says.
    Offline,
    /// The page that explains why the application does not run.
    Page,
}

/// Where a generation stands. Times are since the supervisor started.
///
/// ```text
///              Ready              replaced, or stop
///  Starting ─────────▶ Serving ─────────────────────▶ Draining ──┐
///   │    │                │                              ▲       │ exit
///   │    │ Failed,        │ Stopping                     │       ▼
///   │    │ limit reached  ▼                              │     (gone)
///   │    ▼             Leaving ──────────────────────────┘       ▲
///   │  Failing ──────────┴───────────────────────────────────────┤
///   └────────────────────────────────────────────────────────────┘
/// ```
///
/// An exit leads to "gone" from every state; what it means depends on the state it comes from.
/// Every state but Serving has a deadline, at which the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Told to drain; ends by itself.
    Draining {
        /// When it is killed.
        until: Duration,
    },
    /// It has failed to start and is about to end; the report is composed when it has.
    Failing {
        /// Why.
        why: StartFailure,
        /// When it is killed.
        until: Duration,
    },
    /// The application stops by itself; requests wait for the next generation.
    Leaving {
        /// When it is killed.
        until: Duration,
        /// How long it had served.
        served: Duration,
    },
    /// Requests are served.
    Serving,
    /// On its way to ready.
    Starting {
        /// When the start is given up.
        until: Duration,
    },
}

/// Why a start failed, as far as the supervisor can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// The process ended before it was ready.
    ExitedBeforeReady,
    /// It served, but ended within seconds, again and again.
    KeepsEnding,
    /// It ended more often within a minute than `rapidFailsPerMinute` permits.
    RapidFails,
    /// There is no process: it could not be started.
    NotSpawned,
    /// The worker sent a report.
    Reported,
    /// The limit for a start was reached.
    TimeLimit,
}

/// A worker process, as the site sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its name.
    pub id: GenerationId,
    /// What it serves.
    pub payload: Payload,
    /// Where it stands.
    pub state: State,
    /// Since when it stands there.
    pub since: Duration,
    /// Why it was started.
    pub reason: Reason,
    /// The CPU time that it has taken, once that is known.
    pub cpu: Duration,
    /// Whether somebody else has killed it.
    pub(crate) is_by_hand: bool,
    /// Whether it was killed already; it is done once.
    pub(crate) is_killed: bool,
}

impl Generation {
    /// Goes on to another state.
    pub(crate) const fn enter(&mut self, state: State, now: Duration) {
        (self.state, self.since) = (state, now);
    }

    /// Whether it is the application on its way to ready.
    pub fn is_starting_app(&self) -> bool {
        self.payload == Payload::App && matches!(self.state, State::Starting { .. })
    }

    /// Whether it serves `payload`.
    pub fn is_serving(&self, payload: Payload) -> bool {
        self.payload == payload && matches!(self.state, State::Serving)
    }

    /// When something has to happen if nothing else does.
    pub(crate) const fn deadline(&self) -> Option<Duration> {
        if self.is_killed {
            return None;
        }
        match self.state {
            State::Draining { until }
            | State::Failing { until, .. }
            | State::Leaving { until, .. }
            | State::Starting { until } => Some(until),
            State::Serving => None,
        }
    }
}
