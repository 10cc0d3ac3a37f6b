//! The rounds: who is measured when, for how long, and which rounds count.
//!
//! All contenders run all the time; rounds go around over them, so that whatever else happens on
//! the machine happens to all. A round during which others used the processors is repeated, as far
//! as the scenario's repeats go, and then kept with a mark.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::{
    processes::Foreign,
    scenario::{Load, Scenario},
    server::Server,
    wrk,
};

/// The part of one core that others may use during a round.
pub(super) const FOREIGN_LIMIT: f64 = 0.05;
/// What a load beside the measured one runs longer at either end, in seconds.
const BESIDE_MARGIN: u32 = 1;

/// How much is measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Plan {
    /// Rounds per scenario and contender.
    pub(super) rounds: u32,
    /// The length of a round.
    pub(super) seconds: u32,
    /// The length of the round before that is thrown away.
    pub(super) warm_up_seconds: u32,
    /// How many disturbed rounds of a scenario are repeated.
    pub(super) repeats: u32,
}

impl Plan {
    /// About how long a scenario takes for each contender: the warm-up, rounds at full load and at a
    /// fixed rate, the count of system calls, and what is between them.
    pub(super) fn seconds_per_contender(&self) -> f64 {
        let round = f64::from(self.seconds) * 1.85 + 0.3;
        f64::from(self.warm_up_seconds) + f64::from(self.rounds) * round + 1.5
    }
}

/// One round of one contender.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Round {
    pub(super) requests_per_second: f64,
    pub(super) cpu_us_per_request: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) context_switches_per_request: f64,
    pub(super) resident_mib: f64,
    /// Refusals and socket errors, beside the measured load too.
    pub(super) errors: u64,
    /// Cores that others used.
    pub(super) foreign_cores: f64,
}

impl Round {
    pub(super) fn is_disturbed(&self) -> bool {
        self.foreign_cores > FOREIGN_LIMIT
    }
}

/// Measures one scenario for all servers; the rounds of each, in the servers' order.
pub(super) fn run(
    scenario: &Scenario,
    servers: &[Server],
    plan: Plan,
    scripts: &Path,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Vec<Round>>> {
    for server in servers {
        progress("warm-up");
        wrk::finish(wrk::start(server.address, &scenario.load, plan.warm_up_seconds, scripts)?)?;
    }
    let mut all = vec![Vec::new(); servers.len()];
    let mut repeats = plan.repeats;
    for number in 1..=plan.rounds {
        for (server, rounds) in servers.iter().zip(&mut all) {
            progress(&format!("round {number} of {}", plan.rounds));
            let mut best = measure(scenario, server, plan.seconds, scripts)?;
            // Errors are never measured away.
            while best.is_disturbed() && best.errors == 0 && repeats > 0 {
                repeats -= 1;
                let round = measure(scenario, server, plan.seconds, scripts)?;
                if round.errors > 0 || round.foreign_cores < best.foreign_cores {
                    best = round;
                }
            }
            rounds.push(best);
        }
    }
    Ok(all)
}

fn measure(scenario: &Scenario, server: &Server, seconds: u32, scripts: &Path) -> Result<Round> {
    let beside = match &scenario.beside {
        None => None,
        Some(load) => Some(start_beside(server, load, seconds, scripts)?),
    };
    let (foreign, used) = (Foreign::begin()?, server.usage());
    let child = wrk::start(server.address, &scenario.load, seconds, scripts)?;
    let outcome = wrk::finish(child)?;
    let (after, foreign_cores) = (server.usage(), foreign.cores()?);
    let errors_beside = beside.map(wrk::finish).transpose()?.map_or(0, |outcome| outcome.errors());

    let per_request = |amount: f64| amount / outcome.requests.max(1) as f64;
    let switches = after.context_switches.saturating_sub(used.context_switches);
    Ok(Round {
        requests_per_second: outcome.per_second,
        cpu_us_per_request: per_request((after.cpu_seconds - used.cpu_seconds) * 1e6),
        p50_us: outcome.p50_us,
        p99_us: outcome.p99_us,
        context_switches_per_request: per_request(switches as f64),
        resident_mib: after.resident_kib as f64 / 1024.0,
        errors: outcome.errors() + errors_beside,
        foreign_cores,
    })
}

/// Starts what goes on beside a measured load of so many seconds.
pub(super) fn start_beside(
    server: &Server,
    load: &Load,
    seconds: u32,
    scripts: &Path,
) -> Result<std::process::Child> {
    let child = wrk::start(server.address, load, seconds + 2 * BESIDE_MARGIN, scripts)?;
    // Not a wait for anything: the measured load is to meet handlers that sleep already.
    std::thread::sleep(std::time::Duration::from_secs(BESIDE_MARGIN.into()));
    Ok(child)
}
