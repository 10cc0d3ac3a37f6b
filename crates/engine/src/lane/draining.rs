//! The end of a lane: what runs finishes, what idles goes, what is late is cut off and told of.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Lane;
use super::connections::Entry;
use crate::engine::LaneEnd;

impl Lane {
    /// Takes no more connections and requests, but for those that are there already.
    pub(super) fn drain(&mut self, deadline: Instant) {
        // Who has already connected is served, not refused.
        for index in 0..self.listeners.len() {
            self.accept(index);
        }
        self.set_accepting(false);
        self.draining = true;
        // The turn in which this is heard may have begun long ago.
        self.clock.tick();
        self.drain_begun = self.clock.now();
        self.deadline = Some(self.clock.at(deadline));
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
            self.common.ends.report_quiet(self.number);
        }
    }

    pub(super) fn report_end(&mut self) {
        let end = self.end();
        self.common.ends.report_end(self.number, end);
    }

    /// Cuts off what is left, and says what that was.
    fn end(&mut self) -> LaneEnd {
        let mut end = LaneEnd { connections: self.clients, ..LaneEnd::default() };
        let mut oldest: Option<(u64, String)> = None;
        for key in self.entries.keys() {
            let Some(Entry::Client(mut client)) = self.entries.take(key) else { continue };
            if let Some((begun, request)) = client.unfinished() {
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
