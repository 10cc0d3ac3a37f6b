//! Unread bodies, goodbyes and broken connections: what happens when an exchange does not simply
//! end where the next begins.

use abi::{event, progress};
use os::socket::Transfer;

use super::{Client, DRAIN, RECEIPT, State, Step};
use crate::body::{Inbound, Taken};
use crate::exchange::SlotRef;
use crate::lane::Lane;
use crate::ring::End;

/// Receives by which a connection is emptied that closes.
const RECEIVES: u32 = 16;

impl Client {
    /// No more requests: close once the client has everything, without a reset that would take
    /// the answer away from it.
    pub(crate) fn say_goodbye(&mut self, lane: &mut Lane) -> Step {
        if let Some(slot) = self.slot.take() {
            self.give_back(lane, slot);
        }
        if self.flush().is_err() {
            return Step::Close;
        }
        if self.response.is_cut() {
            self.state = State::Cutting(lane.options.linger.as_millis() as u64 / RECEIPT);
            return Step::Again;
        }
        if self.out.is_empty() {
            if self.inbound.is_complete() && !self.readable && !self.sends_on {
                // Nothing is left unread, or still comes, that would make closing a reset.
                return Step::Close;
            }
            self.socket.shut_down_send();
        }
        self.state = State::Lingering(DRAIN);
        self.deadline = lane.clock.now() + lane.options.linger.as_millis() as u64;
        Step::Again
    }

    /// Closes a WebSocket in the words of its protocol, for the reason that the lane drains, and
    /// ends our side; the client's answer is the application's to read. `false`: that cannot be said.
    pub(crate) fn part(&mut self, lane: &Lane) -> bool {
        if self.ends {
            return true;
        }
        let has_parted = self.response.part(lane.goodbye.code(), self.out.tail());
        self.ends |= has_parted;
        has_parted
    }

    /// The last words before the connection closes at the limit of a drain. `false`: there are none.
    pub(crate) fn part_at_last(&mut self, lane: &mut Lane) -> bool {
        let has_parted = self.part(lane) && self.flush().is_ok();
        // Unread bytes would make the close a reset, which may take those words away.
        for _ in 0..if has_parted { RECEIVES } else { 0 } {
            if !matches!(self.socket.receive(&mut lane.scratch), Ok(Transfer::Bytes(1..))) {
                break;
            }
        }
        has_parted
    }

    pub(super) fn drop_body(&mut self, lane: &mut Lane, left: u64) -> Step {
        let lingering = matches!(self.state, State::Lingering(_));
        if self.inbound.is_complete() && !lingering {
            self.next_request(lane);
            return Step::Again;
        }
        if !self.readable {
            return Step::Wait;
        }
        let limit = lane.scratch.len();
        let taken = if lingering {
            Inbound::Raw.receive(&self.socket, &mut lane.scratch[..limit])
        } else {
            self.inbound.receive(&self.socket, &mut lane.scratch[..limit])
        };
        match taken {
            Ok(Taken::Bytes { end, short, surplus }) => {
                self.readable = !short || self.half_closed;
                if let Some((from, to)) = surplus {
                    self.keep_surplus(lane, from, to);
                }
                match (left.checked_sub(end as u64), lingering) {
                    (Some(left), true) => self.state = State::Lingering(left),
                    (Some(left), false) => self.state = State::Draining(left),
                    // The deadline ends this; until then, others have their turns.
                    (None, true) => {
                        self.state = State::Lingering(DRAIN);
                        lane.backlog.push_back(self.key);
                        return Step::Wait;
                    }
                    // Not worth it; but the answer must arrive.
                    (None, false) => return self.say_goodbye(lane),
                }
                Step::Again
            }
            Ok(Taken::WouldBlock) => {
                self.readable = false;
                // Nothing unread is left that would make closing a reset.
                let is_over = lingering
                    && self.inbound.is_complete()
                    && self.out.is_empty()
                    && !self.sends_on;
                if is_over { Step::Close } else { Step::Wait }
            }
            Ok(Taken::Closed | Taken::Malformed) | Err(_) => {
                if self.flush().is_err() || self.out.is_empty() || self.gone {
                    Step::Close
                } else {
                    // The client has stopped sending but may still be reading.
                    self.readable = false;
                    self.state = State::Lingering(left);
                    Step::Wait
                }
            }
        }
    }

    /// The connection is over, however that came.
    pub(crate) fn close(&mut self, lane: &mut Lane) {
        let forwarding = self.forwarding.take();
        if let Some(surplus) = self.surplus.take() {
            lane.recycle(surplus);
        }
        match (self.slot.take(), forwarding) {
            (Some(slot), Some(mut forwarding)) => {
                forwarding.abandon(lane, self.key);
                lane.recycle(slot);
            }
            (Some(slot), None) => self.give_back(lane, slot),
            (None, _) => {}
        }
        if self.watched {
            lane.tell_closed(self.number);
        }
    }

    /// Takes an unfinished exchange from the connection.
    fn give_back(&mut self, lane: &mut Lane, slot: SlotRef) {
        // An exchange in a queue is found there to be without an owner.
        let waits_in_a_queue = slot.lane().owner.is_some() && !slot.lane().in_use;
        slot.lane().owner = None;
        if slot.lane().in_use {
            if slot.progress() & progress::RELEASED == 0 {
                slot.ring().finish(End::Disconnected);
                if slot.take_body_wish() {
                    lane.application.signal(slot.as_abi(), slot.id(), event::READABLE);
                }
                if slot.abort() {
                    lane.application.signal(slot.as_abi(), slot.id(), event::ABORTED);
                }
            }
            self.watched |= lane.settle_orphan(slot) & progress::WATCHED != 0;
        } else if !waits_in_a_queue {
            lane.recycle(slot);
        }
    }
}
