//! The named steps of a start. A start that fails says how far it came.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The way a start takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// The runtime is hosted in the worker.
    InProcess,
    /// The worker starts a backend process.
    #[default]
    OutOfProcess,
}

/// Something that has happened during a start, in the order of [`Route::steps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The worker runs and knows what to start.
    WorkerStarted,
    /// It is known from where the application's code is executed: from a snapshot, as a rule.
    CodeSettled,
    /// In-process: the handler is loaded.
    HandlerLoaded,
    /// In-process: .NET's host library is found and loaded.
    HostLoaded,
    /// In-process: frameworks and dependencies are resolved.
    HostInitialized,
    /// In-process: the runtime runs, Main is about to be called.
    RuntimeStarted,
    /// In-process: the application has built its host.
    AppBuilt,
    /// Out-of-process: the backend process runs.
    BackendSpawned,
    /// Out-of-process: the backend accepts connections.
    BackendListening,
    /// In-process: the application's server has started.
    ServerStarted,
    /// Its warm-up pages were requested, its readiness path gave its status; skipped without any.
    WarmedUp,
    /// Requests are served.
    Ready,
}

impl Route {
    /// The steps of this way.
    pub const fn steps(self) -> &'static [Step] {
        match self {
            Self::InProcess => &[
                Step::WorkerStarted,
                Step::CodeSettled,
                Step::HandlerLoaded,
                Step::HostLoaded,
                Step::HostInitialized,
                Step::RuntimeStarted,
                Step::AppBuilt,
                Step::ServerStarted,
                Step::WarmedUp,
                Step::Ready,
            ],
            Self::OutOfProcess => &[
                Step::WorkerStarted,
                Step::CodeSettled,
                Step::BackendSpawned,
                Step::BackendListening,
                Step::WarmedUp,
                Step::Ready,
            ],
        }
    }
}

impl Step {
    /// What was being done when this step was the next one.
    pub const fn toward(self) -> &'static str {
        match self {
            Self::WorkerStarted => "starting the worker",
            Self::CodeSettled => "taking a snapshot of the application's code",
            Self::HandlerLoaded => "loading the in-process handler",
            Self::HostLoaded => "finding and loading the .NET host library",
            Self::HostInitialized => "resolving frameworks and dependencies",
            Self::RuntimeStarted => "starting the runtime",
            Self::AppBuilt => "running Main until the application is built",
            Self::BackendSpawned => "starting the backend process",
            Self::BackendListening => "waiting for the backend to listen",
            Self::ServerStarted => "starting the application's services and server",
            Self::WarmedUp => "warming up",
            Self::Ready => "beginning to accept",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WorkerStarted => "worker started",
            Self::CodeSettled => "snapshot taken",
            Self::HandlerLoaded => "handler loaded",
            Self::HostLoaded => "host library loaded",
            Self::HostInitialized => "frameworks resolved",
            Self::RuntimeStarted => "runtime started",
            Self::AppBuilt => "application built",
            Self::BackendSpawned => "backend started",
            Self::BackendListening => "backend listening",
            Self::ServerStarted => "server started",
            Self::WarmedUp => "warmed up",
            Self::Ready => "ready",
        })
    }
}

/// A step that was reached, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The step.
    pub step: Step,
    /// Since the beginning of the start.
    pub after_ms: u64,
}

/// How far a start came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journey {
    /// The way it takes.
    pub route: Route,
    /// The steps behind it.
    pub reached: Vec<Reached>,
}

impl Journey {
    /// A start at its beginning.
    pub const fn new(route: Route) -> Self {
        Self { route, reached: Vec::new() }
    }

    /// Notes a step; a step that was noted before is ignored.
    pub fn on_step(&mut self, step: Step, after: Duration) {
        if self.reached.iter().all(|reached| reached.step != step) {
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            self.reached.push(Reached { step, after_ms });
        }
    }

    /// The step it was on its way to; `None` at the end. Steps that were skipped count as done.
    pub fn next_step(&self) -> Option<Step> {
        let steps = self.route.steps();
        let is_reached = |step: &Step| self.reached.iter().any(|reached| reached.step == *step);
        let done = steps.iter().rposition(is_reached).map_or(0, |last| last + 1);
        steps.get(done).copied()
    }
}

impl fmt::Display for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for reached in &self.reached {
            write!(f, "{} ({} ms), ", reached.step, reached.after_ms)?;
        }
        match self.next_step() {
            Some(step) => write!(f, "then {}", step.toward()),
            None => f.write_str("complete"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journey_knows_where_it_stands() {
        let mut journey = Journey::new(Route::InProcess);
        assert_eq!(journey.to_string(), "then starting the worker");
        journey.on_step(Step::WorkerStarted, Duration::from_millis(3));
        journey.on_step(Step::RuntimeStarted, Duration::from_millis(90));
        journey.on_step(Step::RuntimeStarted, Duration::from_millis(99));
        assert_eq!(journey.next_step(), Some(Step::AppBuilt));
        assert_eq!(
            journey.to_string(),
            "worker started (3 ms), runtime started (90 ms), \
             then running Main until the application is built"
        );
    }
}
