//! The clocks of a connection: how long a client may take, for what.

use std::time::Duration;

use abi::{event, progress};

use super::{Client, Fate, RECEIPT, State, Step};
use crate::body::Inbound;
use crate::exchange::{Rates, SlotRef};
use crate::http1::reject::Cause;
use crate::lane::Lane;
use crate::limits::Limit;
use crate::ring::{End, Ring};

/// How often is looked whether an application waits that may have begun to, in milliseconds.
const LOOK: u64 = 1000;

/// Since when one side of an exchange waits for its client, and what had been moved by then.
#[derive(Default)]
pub(super) struct Pace {
    pub(super) begun: Option<(u64, u64)>,
}

/// How long the application has waited for the body of its request. A client is not slow while
/// nobody waits for it.
#[derive(Default)]
pub(super) struct Waits {
    /// Milliseconds, without the wait that goes on.
    total: u64,
    /// Body bytes of the connection before this request.
    from: u64,
}

impl Waits {
    /// For a request before whose body the connection has received so many bytes of bodies.
    pub(super) fn since(received: u64) -> Self {
        Self { total: 0, from: received }
    }

    /// A wait is over.
    pub(super) fn ended(&mut self, ring: &Ring) {
        self.total += ring.waits_for();
    }
}

impl Client {
    /// When the connection has been too slow, in the lane's milliseconds.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// The deadline has passed.
    pub(crate) fn on_late(&mut self, lane: &mut Lane) -> Fate {
        match self.state {
            _ if self.answer_deadline(lane).is_some_and(|limit| lane.clock.now() >= limit) => {
                lane.common.tally.note(Limit::AnswerRate);
                self.socket.reset_on_close();
                Fate::Close
            }
            State::Reading if self.slot.is_some() => {
                self.refuse(lane, Cause::HeadTooSlow);
                let _ = self.flush();
                Fate::Close
            }
            State::Active => {
                if let Some(step) = self.time_out_forwarding(lane) {
                    return if step == Step::Close { Fate::Close } else { self.drive(lane) };
                }
                if self.forwarding.is_none() {
                    return self.on_slow_body(lane);
                }
                if self.response.head_written {
                    lane.common.tally.note(Limit::BodyRate);
                    self.socket.reset_on_close();
                    return Fate::Close;
                }
                self.refuse(lane, Cause::BodyTooSlow);
                let _ = self.flush();
                Fate::Close
            }
            State::Reading => {
                // A busy lane hears of a request later than of the time.
                self.look_again();
                let fate = self.drive(lane);
                if fate == Fate::Keep && (self.state != State::Reading || self.slot.is_some()) {
                    return Fate::Keep;
                }
                lane.common.tally.note(Limit::KeepAlive);
                Fate::Close
            }
            State::Cutting(looks @ 1..) if self.socket.holds_unreceived() => {
                self.state = State::Cutting(looks - 1);
                self.deadline = lane.clock.now() + RECEIPT;
                Fate::Keep
            }
            State::Cutting(_) => {
                self.socket.reset_on_close();
                Fate::Close
            }
            State::Draining(_) | State::Lingering(_) => Fate::Close,
        }
    }

    /// Sets the clock of a client that is waited for during an exchange: it must keep up the
    /// minimum rate, as under Kestrel, counted from the moment at which waiting began.
    pub(super) fn set_pace(&mut self, lane: &Lane) {
        self.note_rates();
        self.deadline = self.pace_answer(lane).unwrap_or(u64::MAX);
        if self.forwarding.is_none() {
            self.deadline = self.deadline.min(self.body_deadline(lane));
        } else if self.waits_for_body() {
            let begun = *self.sending.begun.get_or_insert((lane.clock.now(), self.received));
            let bytes = self.received - begun.1;
            let rate = self.rates(lane).body;
            self.deadline = self.deadline.min(begun.0 + rate.allows(bytes));
        } else {
            self.sending.begun = None;
        }
        if let Some(forwarding) = &self.forwarding {
            self.deadline = self.deadline.min(forwarding.deadline());
        }
    }

    /// The application may have waited for too long.
    fn on_slow_body(&mut self, lane: &mut Lane) -> Fate {
        // A busy lane hears of bytes later than of the time.
        self.readable |= self.time_left(lane) == Some(0);
        let fate = self.drive(lane);
        let Some(slot) = self.slot.filter(|_| self.time_left(lane) == Some(0)) else { return fate };
        if fate == Fate::Close {
            return fate;
        }
        lane.common.tally.note(Limit::BodyRate);
        slot.ring().finish(End::TooSlow);
        self.inbound = Inbound::Complete;
        self.sends_on = true;
        self.response.keep_alive = false;
        // What it makes of that is the application's business.
        if slot.take_body_wish() {
            lane.wake(slot, event::READABLE);
        }
        self.set_pace(lane);
        Fate::Keep
    }

    /// When to look whether the application has waited for too long. It tells of its first wait
    /// only; whether it waits now is seen then.
    fn body_deadline(&self, lane: &Lane) -> u64 {
        if self.inbound.is_complete() {
            return u64::MAX;
        }
        let Some(left) = self.time_left(lane) else { return u64::MAX };
        let waits = self.slot.is_some_and(SlotRef::waits_for_body);
        lane.clock.now().saturating_add(if waits { left } else { left.max(LOOK) })
    }

    /// Milliseconds that the application may yet wait for its body; `None` if it never has.
    fn time_left(&self, lane: &Lane) -> Option<u64> {
        let slot = self.slot?;
        let reads = slot.lane().in_use && slot.progress() & progress::READING != 0;
        let is_over =
            self.inbound.is_complete() || self.response.is_raw() || self.forwarding.is_some();
        if !reads || is_over {
            return None;
        }
        let allowed = self.rates(lane).body.allows(self.received - self.waits.from);
        let left = allowed.saturating_sub(self.waits.total);
        // Nobody is late while nobody waits.
        Some(if slot.waits_for_body() {
            left.saturating_sub(slot.ring().waits_for())
        } else {
            left.max(1)
        })
    }

    /// Sets the clock between exchanges. While answers wait for the client, all that is asked of
    /// it is to take them; what it is asked next has its full time from then on.
    pub(super) fn set_clock(&mut self, lane: &Lane) {
        let waited = self.taking.begun.is_some();
        if let Some(deadline) = self.pace_answer(lane) {
            self.deadline = deadline;
            return;
        }
        let options = &lane.options;
        let limit = match self.state {
            State::Reading if self.slot.is_some() => options.head_time,
            State::Reading | State::Active => options.keep_alive,
            State::Draining(_) | State::Lingering(_) => options.linger,
            State::Cutting(_) => Duration::from_millis(RECEIPT),
        };
        if waited || matches!(self.state, State::Cutting(_)) {
            self.deadline = lane.clock.now() + limit.as_millis() as u64;
        }
        if matches!(self.state, State::Lingering(_)) {
            self.socket.shut_down_send();
        }
    }

    /// Until when the client must have taken what waits for it.
    fn pace_answer(&mut self, lane: &Lane) -> Option<u64> {
        if self.writable {
            self.taking.begun = None;
        } else {
            self.taking.begun.get_or_insert((lane.clock.now(), self.out.sent_total()));
        }
        self.answer_deadline(lane)
    }

    fn answer_deadline(&self, lane: &Lane) -> Option<u64> {
        let begun = self.taking.begun?;
        // What waits counts as taken: a slow client has until all of it could have been.
        let waiting = self.out.len() + self.slot.map_or(0, |slot| slot.lane().unsent());
        let bytes = self.out.sent_total() - begun.1 + waiting as u64;
        Some(begun.0 + self.rates(lane).answer.allows(bytes))
    }

    /// Keeps what the handler has said of rates: its answer may outlast the exchange.
    pub(super) fn note_rates(&mut self) {
        if let Some(rates) = self.slot.and_then(|slot| slot.own_rates()) {
            self.rates = Some(rates);
        }
    }

    /// How slow the client may be now.
    pub(super) fn rates(&self, lane: &Lane) -> Rates {
        self.rates.unwrap_or_else(|| lane.options.rates())
    }

    /// Whether the next thing to happen to the exchange is a byte of its body.
    pub(super) fn waits_for_body(&self) -> bool {
        if self.inbound.is_complete() || self.readable || self.response.is_raw() {
            return false;
        }
        if self.forwarding.is_some() && self.response.continue_wanted {
            // Its own wait is what there is to end.
            return false;
        }
        match (&self.forwarding, self.slot) {
            (Some(forwarding), _) => forwarding.wants_body(),
            (None, Some(slot)) => slot.lane().in_use && slot.waits_for_body(),
            (None, None) => false,
        }
    }
}
