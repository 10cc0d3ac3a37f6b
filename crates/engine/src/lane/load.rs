//! How much the application has to do, and who is turned away when that is too much.
//!
//! Limits are of the whole engine, but no lane writes for another: each publishes what it has, and
//! looks at the others once per round of its loop. With several lanes a limit may therefore be
//! passed by what they take in during one round.

use std::sync::atomic::Ordering;

use super::Lane;
use crate::application::{Answer, Exchange, Outcome};
use crate::exchange::SlotRef;
use crate::limits::Limit;

/// What the other lanes have.
#[derive(Default)]
pub(super) struct Others {
    waiting: usize,
    inside: usize,
}

impl Lane {
    /// Publishes what this lane has.
    pub(super) fn publish_load(&self) {
        let waiting = self.runnable.len() + self.held.len();
        self.shared.gauge.waiting.store(waiting, Ordering::Relaxed);
        self.shared.gauge.taken.store(self.taken, Ordering::Relaxed);
    }

    /// Looks at what the others have.
    pub(super) fn look_at_others(&mut self) {
        if self.common.lanes.len() == 1 {
            return;
        }
        self.others = Others::default();
        for (number, lane) in self.common.lanes.iter().enumerate() {
            if number != self.number {
                self.others.waiting += lane.gauge.waiting.load(Ordering::Relaxed);
                self.others.inside += lane.gauge.inside.load(Ordering::Relaxed);
            }
        }
    }

    /// The next exchange to go into the application, unless that must wait. Turns away what is
    /// too much.
    pub(super) fn next_runnable(&mut self) -> Option<SlotRef> {
        while self.calls > 0 && !self.runnable.is_empty() {
            let has_room = self.common.crew.has_room();
            let slot = if has_room {
                self.runnable.pop_front()
            } else if self.is_queue_over() {
                // Whoever came last: those before have been waiting.
                self.runnable.pop_back()
            } else {
                None
            }?;
            self.calls -= 1;
            slot.lane().queued = false;
            // A client that left while its exchange waited needs no answer.
            if slot.lane().owner.is_none() {
                self.recycle(slot);
            } else if !has_room {
                self.turn_away(slot, Limit::Queue);
            } else if self.inside + self.others.inside >= self.options.concurrent {
                self.turn_away(slot, Limit::Concurrent);
            } else {
                slot.lane().in_use = true;
                // What was held is offered again.
                self.taken += u64::from(slot.lane().held_since.is_none());
                self.running = Some(slot);
                return Some(slot);
            }
        }
        None
    }

    /// Turns away who has waited for a thread for too long.
    pub(super) fn turn_away_late(&mut self) {
        if self.runnable.is_empty() || self.common.crew.has_room() {
            return;
        }
        let limit = self.options.queue_time.as_millis() as u64;
        // In the order in which they came, but for those that were held before.
        while let Some(slot) = self.runnable.front().copied() {
            if self.clock.now() < slot.lane().begun.saturating_add(limit) {
                return;
            }
            self.runnable.pop_front();
            slot.lane().queued = false;
            if slot.lane().owner.is_none() {
                self.recycle(slot);
            } else {
                self.turn_away(slot, Limit::QueueTime);
            }
        }
    }

    fn is_queue_over(&self) -> bool {
        self.runnable.len() + self.held.len() + self.others.waiting > self.options.queue
    }

    /// Whether one more exchange may wait for the application.
    pub(super) fn may_wait(&self, slot: SlotRef) -> bool {
        // Who has been let in stays.
        slot.lane().held_since.is_some()
            || self.runnable.len() + self.held.len() + self.others.waiting < self.options.queue
    }

    /// Answers an exchange that the application cannot take.
    pub(super) fn turn_away(&mut self, slot: SlotRef, limit: Limit) {
        let text = match limit {
            Limit::Concurrent => format!(
                "503: the application is busy with {} requests, which is the limit (503.2)\n",
                self.options.concurrent
            ),
            Limit::QueueTime => format!(
                "503: the application had no thread for this request within {} s, which is the \
                 limit of its queue\n",
                self.options.queue_time.as_secs_f32()
            ),
            _ => format!(
                "503: {} requests wait for the application, which is the limit of its queue\n",
                self.options.queue
            ),
        };
        self.common.tally.note(limit);
        slot.lane().in_use = true;
        let mut answer = Answer::text(503, text);
        answer.fields.push(("Retry-After".into(), "1".into()));
        let mut exchange = Exchange::new(slot);
        exchange.respond(&answer);
        exchange.release();
        self.dispatched(slot, Outcome::Done);
    }

    /// The application, or a backend, has the exchange from now on.
    pub(super) fn count(&mut self, slot: SlotRef) {
        if !std::mem::replace(&mut slot.lane().counted, true) {
            self.inside += 1;
            self.shared.gauge.inside.store(self.inside, Ordering::Relaxed);
        }
    }

    /// It has it no more.
    pub(crate) fn uncount(&mut self, slot: SlotRef) {
        if std::mem::replace(&mut slot.lane().counted, false) {
            self.inside -= 1;
            self.shared.gauge.inside.store(self.inside, Ordering::Relaxed);
        }
    }
    /// It is no request any more. A handler keeps it until the connection ends.
    pub(crate) fn leave_http(&mut self, slot: SlotRef) {
        self.uncount(slot);
        if !std::mem::replace(&mut slot.lane().upgraded, true) {
            self.shared.gauge.upgraded.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Its connection has ended.
    pub(super) fn forget(&mut self, slot: SlotRef) {
        self.uncount(slot);
        if std::mem::replace(&mut slot.lane().upgraded, false) {
            self.shared.gauge.upgraded.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
