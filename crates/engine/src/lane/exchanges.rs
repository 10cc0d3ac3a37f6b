//! Exchanges on their way: to their turn in the application, through it, and back to the lane.

use std::sync::atomic::Ordering;

use abi::{event, progress};

use super::connections::Entry;
use super::{Lane, Wake};
use crate::application::Outcome;
use crate::exchange::SlotRef;
use crate::limits::Limit;

/// When an exchange is tried again that failed on its way to a backend, in milliseconds.
const SOON: u64 = 50;

impl Lane {
    pub(super) fn take_posted(&mut self) {
        let mut posted = SlotRef::from_ptr(self.shared.take_posted());
        let mut order = std::mem::take(&mut self.order);
        while let Some(slot) = posted {
            posted = slot.next_posted();
            order.push(slot);
        }
        // The list has the newest first.
        while let Some(slot) = order.pop() {
            self.company = order.len();
            if slot.heard() {
                self.attend(slot);
            } else {
                self.recycle(slot);
            }
        }
        self.order = order;
    }

    /// Looks after an exchange that is with the application: something was published.
    fn attend(&mut self, slot: SlotRef) {
        if !slot.lane().in_use || slot.lane().spent {
            // A word that came after the last one was heard.
            return;
        }
        match slot.lane().owner {
            Some(key) => self.drive(key, 0),
            None => {
                self.pass_on_watch(slot);
                self.settle_orphan(slot);
            }
        }
    }

    /// A handler may ask to be told of the end of a connection that is done with its exchange.
    fn pass_on_watch(&mut self, slot: SlotRef) {
        if slot.progress() & progress::WATCHED == 0 {
            return;
        }
        match self.entries.take(slot.lane().key) {
            Some(Entry::Client(mut client)) => {
                client.watched = true;
                self.entries.put(client.key, Entry::Client(client));
            }
            _ => self.tell_closed(slot.lane().connection.id),
        }
    }

    /// Tells the application of the end of a connection that it watches.
    pub(crate) fn tell_closed(&self, connection: u64) {
        self.application.signal(std::ptr::null_mut(), connection, event::CLOSED);
    }

    /// An exchange without a connection: what it writes is dropped until its handler lets go.
    /// Answers with its progress; once that has `RELEASED`, the slot may be another's.
    pub(crate) fn settle_orphan(&mut self, slot: SlotRef) -> u32 {
        let progress = slot.progress();
        let over = progress & progress::RELEASED != 0;
        let unsent = slot.lane().unsent();
        slot.take_sent(unsent);
        if over && self.running != Some(slot) {
            self.recycle(slot);
        } else if slot.take_space_wish() {
            self.application.signal(slot.as_abi(), slot.id(), event::WRITABLE);
        }
        progress
    }

    /// Takes the outcome of a dispatch, or the news that it will come from elsewhere.
    pub(super) fn dispatched(&mut self, slot: SlotRef, outcome: Outcome) {
        self.running = None;
        match outcome {
            Outcome::Done => {
                if slot.progress() & progress::RELEASED == 0 {
                    // Whoever is done without having answered will not answer later. Only the
                    // lane may judge: for anybody else the slot may already be another exchange.
                    slot.add_progress(progress::ABORT | progress::RELEASED);
                }
                self.attend(slot);
            }
            Outcome::Pending => {
                self.count(slot);
                slot.listen();
                self.attend(slot);
            }
            Outcome::Hold if !self.may_wait(slot) => self.turn_away(slot, Limit::Queue),
            Outcome::Hold => {
                slot.lane().in_use = false;
                slot.lane().held_since.get_or_insert_with(std::time::Instant::now);
                self.held.push(slot);
                if let Some(owner) = slot.lane().owner {
                    // Answers before this one need not wait for it.
                    self.drive(owner, 0);
                }
            }
            Outcome::Forward(upstream) => {
                slot.lane().in_use = false;
                let owner = slot.lane().owner;
                match owner.and_then(|key| self.entries.take(key)) {
                    Some(Entry::Client(mut client)) => {
                        self.count(slot);
                        let fate = client.forward(self, upstream);
                        self.settle(client, fate);
                    }
                    _ => self.recycle(slot),
                }
            }
        }
    }

    /// The thread before is still in the application with the running exchange. It goes on as if
    /// it were pending: what it publishes from now on is told to us.
    pub(super) fn taken_over(&mut self) {
        // Answers that waited for a call have waited for long enough.
        self.send_together();
        if let Some(slot) = self.running.take() {
            self.count(slot);
            slot.listen();
            self.attend(slot);
        }
    }

    /// Tells the application what it waits for, once the lane can be given up to it: what waits
    /// goes on in that call, without another thread.
    pub(crate) fn wake(&mut self, slot: SlotRef, event: u32) {
        self.wakes.push_back(Wake { slot, id: slot.id(), events: event });
    }

    /// Whether the first wait may end in the lane. Without a thread to go on in, they all end elsewhere.
    pub(super) fn may_wake(&mut self) -> bool {
        if !self.common.crew.has_room() {
            for wake in self.wakes.drain(..) {
                self.application.signal(wake.slot.as_abi(), wake.id, wake.events);
            }
        }
        self.calls > 0 && !self.wakes.is_empty()
    }

    /// What to tell the application, now that it has the lane.
    pub(super) fn take_wake(&mut self) -> Option<Wake> {
        self.calls -= 1;
        self.wakes.pop_front()
    }

    /// Offers an exchange to the application once more, now or when told.
    pub(crate) fn hold(&mut self, slot: SlotRef) {
        self.uncount(slot);
        slot.lane().held_since.get_or_insert_with(std::time::Instant::now);
        self.held.push(slot);
        self.next_tick = self.next_tick.min(self.clock.now() + SOON);
    }

    pub(super) fn retry_held(&mut self) {
        for slot in std::mem::take(&mut self.held) {
            self.enqueue(slot);
        }
    }

    /// Gives an exchange its turn in the application.
    pub(crate) fn enqueue(&mut self, slot: SlotRef) {
        slot.lane().queued = true;
        self.runnable.push_back(slot);
    }

    /// A slot for a new exchange.
    pub(crate) fn slot(&mut self) -> SlotRef {
        self.in_use += 1;
        self.free.pop().unwrap_or_else(|| {
            let number = self.common.slot_numbers.fetch_add(1, Ordering::Relaxed) as u32;
            SlotRef::allocate(number, self.shared.clone(), self.options.rates())
        })
    }

    /// Takes a slot back that nobody uses any more.
    pub(crate) fn recycle(&mut self, slot: SlotRef) {
        self.forget(slot);
        if slot.recycle() {
            self.in_use -= 1;
            self.free.push(slot);
        }
    }
}
