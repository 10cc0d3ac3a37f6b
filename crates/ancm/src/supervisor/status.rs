//! How the site is, for `ancm status`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control::operator::{
    BackendEnds, Failure, GenerationStatus, ProcessStatus, Serves, Shortage, SiteState, Stage,
    Status, VERSION,
};
use lifecycle::generation::{Generation, Payload, State};

use super::{Supervisor, processes};

impl Supervisor {
    pub(super) fn status(&self) -> Status {
        let app = &self.launch.app;
        let now = self.now();
        let generations = self.site.generations().iter();
        let failure = self.report.as_ref().map(|report| Failure {
            code: report.code,
            summary: report.summary.clone(),
            reference: report.reference.clone(),
            time: report.time.clone(),
            retry_in_seconds: self.site.next_try().map(|at| seconds(at.saturating_sub(now))),
            retry_waits_because: self.site.waits_because().map(|why| why.to_string()),
        });
        Status {
            version: VERSION,
            app: app.name.clone(),
            dir: std::path::absolute(&self.launch.dir)
                .unwrap_or_else(|_| self.launch.dir.clone())
                .display()
                .to_string(),
            hosting_model: app.settings.hosting_model.to_string(),
            state: self.state(),
            addresses: self.launch.sockets.addresses.clone(),
            supervisor: processes::status(std::process::id().cast_signed()),
            ancm: env!("CARGO_PKG_VERSION").to_owned(),
            started: ago(now),
            up_seconds: now.as_secs(),
            is_offline: self.site.is_offline(),
            is_stopped: self.site.is_halted(),
            memory_shortage: self.shortage(),
            configuration_refused: self.refused_configuration(),
            generations: generations.map(|it| self.generation(it, now)).collect(),
            last_failure: failure,
        }
    }

    fn shortage(&self) -> Option<Shortage> {
        let headroom = Some(self.headroom).filter(|it| !it.is_enough())?;
        Some(Shortage {
            needed_bytes: headroom.needed(),
            available_bytes: headroom.available.unwrap_or(0),
        })
    }

    fn state(&self) -> SiteState {
        let is_serving = |payload| self.site.generations().iter().any(|it| it.is_serving(payload));
        if self.site.is_stopping() {
            SiteState::Stopping
        } else if self.site.is_offline() {
            SiteState::Offline
        } else if self.site.is_halted() {
            SiteState::Stopped
        } else if self.site.is_idle() {
            SiteState::Idle
        } else if is_serving(Payload::App) {
            SiteState::Serving
        } else if is_serving(Payload::Page) {
            SiteState::Failed
        } else {
            SiteState::Starting
        }
    }

    fn generation(&self, generation: &Generation, now: Duration) -> GenerationStatus {
        let known = self.workers.get(&generation.id);
        let pid = known.map(|worker| worker.child.pid().number());
        let load = known.and_then(|worker| worker.load);
        let ends = known.and_then(|worker| worker.backend_ends.clone());
        let load = load.filter(|_| generation.is_serving(Payload::App));
        let worker = processes::status(pid.unwrap_or(0));
        let children: Vec<ProcessStatus> =
            processes::below(worker.pid).into_iter().map(processes::status).collect();
        let since = now.saturating_sub(generation.since);
        GenerationStatus {
            id: generation.id,
            serves: match generation.payload {
                Payload::App => Serves::App,
                Payload::Halted => Serves::Stopped,
                Payload::Offline => Serves::Offline,
                Payload::Page => Serves::Page,
            },
            state: match generation.state {
                State::Draining { .. } => Stage::Draining,
                State::Failing { .. } => Stage::Failing,
                State::Leaving { .. } => Stage::Leaving,
                State::Serving => Stage::Serving,
                State::Starting { .. } => Stage::Starting,
            },
            since: ago(since),
            since_seconds: since.as_secs(),
            reason: generation.reason,
            why: generation.reason.to_string(),
            memory_bytes: children.iter().chain([&worker]).map(|it| it.memory_bytes).sum(),
            requests_in_flight: load.map(|load| load.in_flight as u64),
            requests_taken: load.map(|load| load.taken),
            snapshot: known.and_then(|it| it.snapshot.clone()),
            backend_ends: ends.map(|(count, at, text)| BackendEnds {
                count,
                last: ago(now.saturating_sub(at)),
                text,
            }),
            worker,
            children,
        }
    }
}

fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000) as u64
}

/// The time that was this long ago.
pub(super) fn ago(duration: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    lifecycle::time::utc(now.saturating_sub(duration))
}
