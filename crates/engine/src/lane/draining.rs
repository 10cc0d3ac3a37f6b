//! The end of a lane: what runs finishes, what idles goes, what is late is cut off and told of.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use abi::event;

use super::Lane;
use super::connections::Entry;
use crate::engine::{Goodbye, LaneEnd};

/// How long before the limit of a drain WebSockets are closed, in milliseconds: client and
/// application have a moment to say goodbye. Of a short limit, a quarter.
const PARTING: u64 = 1_000;

/// An answer that ends within this time of the application's hearing of the drain, in milliseconds,
/// was ended by it.
const ENDED_BY_IT: u64 = 2_000;

impl Lane {
    /// Takes no more connections and requests, but for those that are there already.
    pub(super) fn drain(&mut self, deadline: Instant, goodbye: Goodbye) {
        // Who has already connected is served, not refused.
        for index in 0..self.listeners.len() {
            self.accept(index);
        }
        self.set_accepting(false);
        self.draining = true;
        // The turn in which this is heard may have begun long ago.
        self.clock.tick();
        self.drain_begun = self.clock.now();
        let deadline = self.clock.at(deadline);
        let before = PARTING.min(deadline.saturating_sub(self.drain_begun) / 4);
        (self.deadline, self.parts_at) = (Some(deadline), Some(deadline - before));
        self.goodbye = goodbye;
        for key in self.entries.keys() {
            if let Some(mut entry) = self.entries.take(key) {
                if let Entry::Client(client) = &mut entry {
                    client.look_again();
                }
                self.entries.put(key, entry);
            }
            self.drive(key, 0);
        }
    }

    /// Whether a client whose answer ends in a drain may send its next request on the same
    /// connection, because the head, written before, has told it so. Not where the application has
    /// ended the answer because it stops: whose stream or poll was that comes back to stay, with
    /// several requests (SignalR), and all of them have to reach the next process.
    pub(crate) fn invites(&self) -> bool {
        self.told.is_none_or(|told| self.clock.now() > told + ENDED_BY_IT)
    }

    pub(super) fn is_over(&self) -> bool {
        let late = self.deadline.is_some_and(|deadline| self.clock.now() >= deadline);
        (self.clients == 0 && self.in_use == 0) || late
    }

    /// Says, once, that nothing is left but connections that have left HTTP: they end when the
    /// application ends them.
    pub(super) fn report_quiet(&mut self) {
        let upgraded = self.shared.gauge.upgraded.load(Ordering::Relaxed);
        if !self.is_quiet && self.clients <= upgraded && self.in_use <= upgraded {
            self.is_quiet = true;
            let are_all = self.common.ends.report_quiet(self.number);
            self.tell_quiet(are_all);
        }
    }

    /// The application may be waiting to hear that nothing more will come.
    fn tell_quiet(&self, are_all: bool) {
        if are_all {
            self.application.signal(std::ptr::null_mut(), 0, event::QUIET);
        }
    }

    /// Closes WebSockets when it is time for that.
    pub(super) fn part_if_due(&mut self) {
        if self.parts_at.is_none_or(|at| self.clock.now() < at) {
            return;
        }
        self.parts_at = None;
        self.is_parting = true;
        for key in self.entries.keys() {
            self.drive(key, 0);
        }
    }

    pub(super) fn report_end(&mut self) {
        let end = self.end();
        let are_all = self.common.ends.report_end(self.number, end);
        self.tell_quiet(are_all);
    }

    /// Cuts off what is left, and says what that was.
    fn end(&mut self) -> LaneEnd {
        let mut end = LaneEnd { connections: self.clients, ..LaneEnd::default() };
        let mut oldest: Option<(u64, String)> = None;
        for key in self.entries.keys() {
            let Some(Entry::Client(mut client)) = self.entries.take(key) else { continue };
            let has_parted = client.part_at_last(self);
            if let Some((begun, request)) = client.unfinished().filter(|_| !has_parted) {
                end.requests += 1;
                if oldest.as_ref().is_none_or(|(oldest, _)| begun < *oldest) {
                    oldest = Some((begun, request));
                }
                // An answer that ends here must not look complete.
                client.socket.reset_on_close();
            }
            client.close(self);
            self.clients -= 1;
            self.roomy -= usize::from(client.has_room);
            self.entries.remove(key);
        }
        let now = self.clock.now();
        end.oldest = oldest
            .map(|(begun, request)| (Duration::from_millis(now.saturating_sub(begun)), request));
        end
    }
}
