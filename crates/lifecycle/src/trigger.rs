//! When a generation that does well is replaced, or stopped, all the same.
//!
//! Whoever measures shows what was measured now and then; the answer is a reason, once for each
//! generation unless it is idle: what follows from it is the site's business. All limits are a little smaller by
//! chance, so that sites which began together are not replaced together.

use std::time::Duration;

use crate::ids::GenerationId;
use crate::reason::Reason;
use crate::restart::Random;

const DAY: Duration = Duration::from_secs(86_400);
/// Up to this much later than a time of day, unless the day is full of them.
const SCHEDULE_SPREAD: Duration = Duration::from_secs(20);
/// Clocks that go further between two looks were set.
const LONGEST_STEP: Duration = Duration::from_secs(3600);
/// Looks in a row at which too much memory is too much: garbage may be collected in a moment.
const LOOKS_OVER_MEMORY: u32 = 3;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What a generation may have before it is replaced; all off by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Time without a request until it is stopped.
    pub idle: Option<Duration>,
    /// Time that it serves.
    pub lifetime: Option<Duration>,
    /// Bytes of its own.
    pub memory: Option<u64>,
    /// Requests.
    pub requests: Option<u64>,
    /// Times of day, since midnight.
    pub schedule: Vec<Duration>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Requests that it was given so far.
    pub taken: u64,
    /// Requests and connections that it is occupied with.
    pub busy: usize,
    /// Bytes of its own, if that was looked at.
    pub memory: Option<u64>,
}

/// Watches one generation after the other.
#[derive(Clone, Debug)]
pub struct Triggers {
    limits: Limits,
    random: Random,
    watched: Option<Watched>,
    next_look: Duration,
}

#[derive(Clone, Debug)]
struct Watched {
    id: GenerationId,
    ends: Option<Duration>,
    requests: Option<u64>,
    /// When the last request was there.
    active: Duration,
    taken: u64,
    over_memory: u32,
    /// So many looks in a row are too much: a few more than others take that began at the same time.
    looks: u32,
    /// The time of day when it was looked at.
    clock: Option<Duration>,
    /// When a time of day has its effect.
    scheduled: Option<Duration>,
    is_told: bool,
}

impl Triggers {
    /// `seed` spreads the limits of many sites.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self { limits, random: Random::new(seed), watched: None, next_look: Duration::ZERO }
    }

    /// Other limits, from the next generation on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// When [`Triggers::look`] is due, if there is anything to look for.
    pub fn next_look(&self) -> Option<Duration> {
        (self.limits != Limits::default()).then_some(self.next_look)
    }

    /// Whether memory is worth measuring.
    pub fn wants_memory(&self) -> bool {
        self.limits.memory.is_some()
    }

    /// Looks at the generation that serves since `since`, or at none; `clock` is the time of day.
    pub fn look(
        &mut self,
        serving: Option<(GenerationId, Duration, Measured)>,
        clock: Option<Duration>,
        now: Duration,
    ) -> Option<Reason> {
        self.next_look = now + LOOK;
        let Some((id, since, measured)) = serving else {
            self.watched = None;
            return None;
        };
        if self.watched.as_ref().is_none_or(|watched| watched.id != id) {
            self.watched = Some(Watched {
                id,
                ends: self.limits.lifetime.map(|limit| since + self.shortened(limit)),
                requests: self.limits.requests.map(|limit| self.lessened(limit)),
                active: now,
                taken: measured.taken,
                over_memory: 0,
                looks: LOOKS_OVER_MEMORY + self.random.next() as u32 % LOOKS_OVER_MEMORY,
                clock,
                scheduled: None,
                is_told: false,
            });
        }
        let spread = self.spread();
        let watched = self.watched.as_mut()?;
        let reason = watched.on_look(&self.limits, &measured, clock, spread, now);
        if watched.is_told {
            return None;
        }
        // Who is idle may not be stopped just now, and is idle still.
        watched.is_told = reason.is_some_and(|reason| reason != Reason::Idle);
        reason
    }

    /// Up to a tenth less.
    fn shortened(&mut self, limit: Duration) -> Duration {
        limit - limit / 10 * (self.random.next() % 256) as u32 / 255
    }

    fn lessened(&mut self, limit: u64) -> u64 {
        limit - (limit / 10).saturating_mul(self.random.next() % 256) / 255
    }

    fn spread(&mut self) -> Duration {
        SCHEDULE_SPREAD * (self.random.next() % 256) as u32 / 256
    }
}

impl Watched {
    fn on_look(
        &mut self,
        limits: &Limits,
        measured: &Measured,
        clock: Option<Duration>,
        spread: Duration,
        now: Duration,
    ) -> Option<Reason> {
        if measured.busy > 0 || measured.taken != self.taken {
            (self.active, self.taken) = (now, measured.taken);
        }
        match (limits.memory, measured.memory) {
            (Some(limit), Some(memory)) if memory > limit => self.over_memory += 1,
            (Some(_), None) => {}
            _ => self.over_memory = 0,
        }
        let before = std::mem::replace(&mut self.clock, clock);
        if let (Some(before), Some(clock)) = (before, clock)
            && limits.schedule.iter().any(|time| is_passed(before, clock, *time))
        {
            self.scheduled.get_or_insert(now + spread);
        }
        let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if self.over_memory >= self.looks {
            Some(Reason::Memory)
        } else if is_due(self.ends) {
            Some(Reason::Lifetime)
        } else if self.requests.is_some_and(|limit| measured.taken >= limit) {
            Some(Reason::Requests)
        } else if is_due(self.scheduled) {
            Some(Reason::Schedule)
        } else if limits.idle.is_some_and(|limit| now >= self.active + limit) {
            Some(Reason::Idle)
        } else {
            None
        }
    }
}

/// Whether a clock that went from `before` to `clock` has come to `time`, midnight or not. One that
/// was set has not.
fn is_passed(before: Duration, clock: Duration, time: Duration) -> bool {
    let since = |from: Duration| (clock + DAY).saturating_sub(from).as_secs() % DAY.as_secs();
    let step = since(before);
    step > 0 && step <= LONGEST_STEP.as_secs() && since(time) < step
}

#[cfg(test)]
#[path = "trigger_tests.rs"]
mod tests;
