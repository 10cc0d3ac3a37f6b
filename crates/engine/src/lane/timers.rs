//! What happens because time passes.

use super::Lane;
use super::connections::Entry;
use crate::client::Fate;

/// Keys that come up together, at the most, without the room for them being given back.
const USUAL: usize = 1024;

impl Lane {
    pub(super) fn on_tick(&mut self) {
        self.retry_held();
        self.turn_away_late();
        self.accept_again();
    }

    /// Looks after connections whose time may have come.
    pub(super) fn turn_wheel(&mut self) {
        let now = self.clock.now();
        let mut up = std::mem::take(&mut self.come_up);
        self.wheel.turn(now, &mut up);
        for key in up.drain(..) {
            match self.entries.take(key) {
                // Put in again for an earlier time since; else each would come up for ever.
                Some(Entry::Client(client)) if client.armed > now => {
                    self.entries.put(key, Entry::Client(client));
                }
                Some(Entry::Client(mut client)) => {
                    client.armed = u64::MAX;
                    let late = now >= client.deadline();
                    let fate = if late { client.on_late(self) } else { Fate::Keep };
                    self.settle(client, fate);
                }
                Some(Entry::Idle(idle)) if now >= idle.deadline() => self.drop_idle(key, &idle),
                Some(Entry::Idle(mut idle)) => {
                    if idle.armed <= now {
                        idle.armed = self.wheel.insert(key, idle.deadline());
                    }
                    self.entries.put(key, Entry::Idle(idle));
                }
                Some(entry @ (Entry::Busy(_) | Entry::Link)) => self.entries.put(key, entry),
                None => {}
            }
        }
        up.shrink_to(USUAL);
        self.come_up = up;
    }
}
