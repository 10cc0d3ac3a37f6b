//! Asks the application whether it is well, as long as it serves.
//!
//! The page goes through the engine as a client's request does, so that what keeps clients from an
//! answer keeps us from one. Checks are no requests of clients: they are left out of what is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use config::HealthCheck;
use control::ToSupervisor;
use engine::Engine;
use lifecycle::event::Level;
use lifecycle::health::{Health, Verdict};

use crate::supervisor::Supervisor;
use crate::warm_up;

/// A check has failed.
const CHECK_FAILED: u16 = 1134;

/// How many checks were begun, and how many of them have ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks(Arc<[AtomicU64; 2]>);

impl Checks {
    /// What clients alone have: of requests taken and in flight.
    pub(crate) fn without(&self, taken: u64, in_flight: usize) -> (u64, usize) {
        let [begun, ended] = [&self.0[0], &self.0[1]].map(|count| count.load(Ordering::Relaxed));
        let running = usize::try_from(begun.saturating_sub(ended)).unwrap_or(0);
        (taken.saturating_sub(begun), in_flight.saturating_sub(running))
    }
}

/// Checks until the process ends.
pub(crate) fn follow(
    check: &HealthCheck,
    engine: &Engine,
    checks: &Checks,
    supervisor: &Supervisor,
) {
    let mut health = Health::new(check.failures);
    let log = |text: String| {
        supervisor.tell(&ToSupervisor::Log { event: CHECK_FAILED, level: Level::Warning, text });
    };
    loop {
        let begun = Instant::now();
        checks.0[0].fetch_add(1, Ordering::Relaxed);
        let problem = warm_up::problem(&check.page, engine, begun + check.interval);
        checks.0[1].fetch_add(1, Ordering::Relaxed);
        let (path, limit) = (&check.page.target, check.failures);
        let verdict = health.on_check(problem.is_none());
        let problem = problem.unwrap_or_default();
        match verdict {
            Verdict::Fine => {}
            Verdict::Failed(count) => {
                log(format!("health check {path} {problem} ({count} of {limit} in a row)"));
            }
            Verdict::Unhealthy => {
                log(format!(
                    "health check {path} {problem} ({limit} of {limit} in a row): the generation is \
                     replaced"
                ));
                supervisor.tell(&ToSupervisor::Unhealthy);
            }
            Verdict::NeverPassed => log(format!(
                "health check {path} {problem} ({limit} of {limit} in a row): this generation has \
                 never passed, so that another would be no better; it is not replaced"
            )),
        }
        thread::sleep(check.interval.saturating_sub(begun.elapsed()));
    }
}
