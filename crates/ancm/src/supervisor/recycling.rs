//! Measures what serves, and follows what `lifecycle::trigger` makes of it.

use config::App;
use lifecycle::generation::{Generation, Payload};
use lifecycle::headroom::Headroom;
use lifecycle::site::Event;
use lifecycle::trigger::{Limits, Measured};
use lifecycle::{GenerationId, Reason};

use super::worker::{Load, Worker};
use super::{Supervisor, processes};

/// The limits that the application's configuration has.
pub(super) fn limits(app: &App) -> Limits {
    let recycling = &app.settings.handler_settings.recycling;
    Limits {
        idle: recycling.idle_timeout,
        lifetime: recycling.time,
        memory: recycling.private_memory,
        requests: recycling.requests,
        schedule: recycling.schedule.clone(),
    }
}

impl Supervisor {
    /// Looks at the generation that serves, when that is due.
    pub(super) fn follow_triggers(&mut self) {
        let now = self.now();
        if self.triggers.next_look().is_none_or(|at| at > now) {
            return;
        }
        let serving = self.site.generations().iter().find(|it| it.is_serving(Payload::App));
        let serving = serving.and_then(|generation| {
            let worker = self.workers.get(&generation.id)?;
            Some((generation.id, generation.since, self.measured(worker)))
        });
        let reason = self.triggers.look(serving, os::clock::time_of_day(), now);
        self.idle = serving
            .filter(|_| reason == Some(Reason::Idle))
            .map(|(id, _, measured)| (id, measured.taken));
        // For the next look.
        self.measure();
        match reason {
            // What was measured is as old as the last look: somebody may have come since.
            None | Some(Reason::Idle) => {}
            // A configuration that cannot be used was told; what is too old is replaced all the same.
            Some(reason) => self.replace(reason),
        }
    }

    /// The generation has failed its health checks.
    pub(super) fn replace_unhealthy(&mut self, id: GenerationId) {
        // What is being replaced already needs no more.
        let is_serving = |it: &Generation| it.id == id && it.is_serving(Payload::App);
        let is_alone = !self.site.generations().iter().any(Generation::is_starting_app);
        if is_alone && self.site.generations().iter().any(is_serving) {
            self.replace(Reason::Unhealthy);
        }
    }

    /// What a second generation would need, and what there is.
    pub(super) fn measured_headroom(&self) -> Headroom {
        let apps = self.site.generations().iter().filter(|it| it.payload == Payload::App);
        let workers = apps.filter_map(|it| self.workers.get(&it.id));
        // A new one comes in place of one of them.
        let used = workers.map(|it| processes::private_memory(it.child.pid().number())).max();
        Headroom {
            used: used.unwrap_or(0),
            available: os::memory::available(),
            reserve: self.launch.app.settings.handler_settings.recycling.overlap_memory_reserve,
        }
    }

    fn replace(&mut self, reason: Reason) {
        self.follow_latest_changes();
        // What is being changed is not taken over by halves: the site waits for the end of it.
        if self.watch.is_settling() || !self.recycle(reason) {
            self.events.push_back(Event::Recycle(reason));
        }
    }

    /// The generation has told anew what it has to do.
    pub(super) fn stop_if_idle(&mut self, id: GenerationId) {
        let Some((_, taken)) = self.idle.take_if(|(idle, _)| *idle == id) else { return };
        let load = self.workers.get(&id).and_then(|worker| worker.load);
        let is_idle = |load: Load| load.taken == taken && load.in_flight == 0 && load.upgraded == 0;
        if load.is_some_and(is_idle) {
            self.events.push_back(Event::Idle);
        }
    }

    fn measured(&self, worker: &Worker) -> Measured {
        let pid = worker.child.pid().number();
        let memory = self.triggers.wants_memory().then(|| processes::private_memory(pid));
        // A worker that does not tell is occupied.
        let (taken, busy) = match worker.load {
            Some(load) if !worker.is_asked => (load.taken, load.in_flight + load.upgraded),
            Some(load) => (load.taken, 1),
            None => (0, 1),
        };
        Measured { taken, busy, memory }
    }
}
