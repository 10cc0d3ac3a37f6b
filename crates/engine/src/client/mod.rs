//! A client's connection: requests in, responses out, one exchange at a time.
//!
//! [`Client::drive`] moves everything that can move and returns when it needs an event. It may
//! be called at any time and finds out by itself what there is to do:
//!
//! ```text
//!  Reading ──head complete──► Active ──response ended──► Reading        (body read to its end)
//!     ▲                                     ├──────────► Draining ──┐   (body left, keep-alive)
//!     └─────────────────────────────────────│───────────────────────┘
//!                                           └──────────► Lingering      (the connection ends)
//! ```

mod answering;
mod ending;
mod forwarding;
mod reading;
mod together;

use std::net::SocketAddr;

use abi::progress;
use os::epoll;
use os::socket::{Socket, Transfer};

use crate::body::Inbound;
use crate::exchange::{ConnectionKey, SlotRef};
use crate::forward::Forwarding;
use crate::http1::reject::Cause;
use crate::lane::Lane;
use crate::outgoing::Outgoing;
use crate::response::Response;

/// Response bytes up to this are copied behind their head, so that one send carries both.
const COPY: usize = 16 * 1024;
/// Bytes that may wait for a client before its next pipelined request is looked at.
const PIPELINE: usize = 64 * 1024;
/// Bytes of an unread request body that are read and dropped to keep a connection.
const DRAIN: u64 = 1 << 20;
/// How long dropping may take, in milliseconds (Kestrel's 5 s).
const DRAIN_TIME: u64 = 5_000;

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    Close,
}

/// Since when one side of an exchange waits for its client, and what had been moved by then.
#[derive(Default)]
struct Pace {
    begun: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting for, or in the middle of, a request head.
    Reading,
    /// An exchange is with the application, or waits for its turn.
    Active,
    /// The response is out; the rest of the request body is dropped, so many bytes at most.
    Draining(u64),
    /// As above, but we have said goodbye: the connection closes when the client does.
    Lingering(u64),
}

/// One client.
pub(crate) struct Client {
    pub(crate) key: ConnectionKey,
    pub(crate) socket: Socket,
    pub(crate) readable: bool,
    pub(crate) out: Outgoing,
    pub(crate) inbound: Inbound,
    /// Body bytes received so far, over all requests.
    pub(crate) received: u64,
    pub(crate) response: Response,
    /// The exchange that is being read or answered.
    pub(crate) slot: Option<SlotRef>,
    writable: bool,
    /// The client will send no more.
    half_closed: bool,
    /// The connection is beyond use in both directions.
    gone: bool,
    state: State,
    /// The outcome of a receive into the slot that nobody has looked at.
    ahead: Option<std::io::Result<Transfer>>,
    /// What came behind the current request.
    surplus: Option<SlotRef>,
    /// What the client sends is not understood any more; it may be in the middle of sending.
    out_of_step: bool,
    forwarding: Option<Box<Forwarding>>,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
    number: u64,
    requests: u64,
    /// What the limit of a request body has left for this one.
    body_left: u64,
    /// In the lane's milliseconds; `u64::MAX` is none.
    deadline: u64,
    /// When the lane's wheel brings the connection up; `u64::MAX` is never.
    pub(crate) armed: u64,
    /// The client's speed as a sender of body bytes, and as a taker of ours.
    sending: Pace,
    taking: Pace,
}

impl Client {
    pub(crate) fn new(
        key: ConnectionKey,
        socket: Socket,
        remote: Option<SocketAddr>,
        number: u64,
        deadline: u64,
    ) -> Self {
        Self {
            key,
            socket,
            readable: false,
            out: Outgoing::default(),
            inbound: Inbound::Complete,
            received: 0,
            response: Response::default(),
            slot: None,
            writable: true,
            half_closed: false,
            gone: false,
            state: State::Reading,
            ahead: None,
            surplus: None,
            out_of_step: false,
            forwarding: None,
            remote,
            local: None,
            number,
            requests: 0,
            body_left: u64::MAX,
            deadline,
            armed: u64::MAX,
            sending: Pace::default(),
            taking: Pace::default(),
        }
    }

    /// Takes note of epoll bits.
    pub(crate) fn on_bits(&mut self, bits: u32) {
        if bits & epoll::IN != 0 {
            self.readable = true;
        }
        if bits & epoll::OUT != 0 {
            self.writable = true;
        }
        if bits & (epoll::RDHUP | epoll::HUP | epoll::ERR) != 0 {
            // Reading finds the end, or the error.
            self.readable = true;
            self.half_closed = true;
        }
        if bits & (epoll::HUP | epoll::ERR) != 0 {
            self.gone = true;
        }
    }

    /// Takes note of epoll bits of the backend's connection.
    pub(crate) fn on_upstream_bits(&mut self, key: ConnectionKey, bits: u32) {
        if let Some(forwarding) = self.forwarding.as_mut().filter(|it| it.key() == key) {
            forwarding.on_bits(bits);
        }
    }

    /// Looks once more for a request that may have come: there will be no other occasion.
    pub(crate) fn look_again(&mut self) {
        self.readable |= self.state == State::Reading;
    }

    /// When the connection has been too slow, in the lane's milliseconds.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// The deadline has passed.
    pub(crate) fn on_late(&mut self, lane: &mut Lane) -> Fate {
        match self.state {
            State::Reading if self.slot.is_some() => {
                self.refuse(lane, Cause::HeadTooSlow);
                let _ = self.flush();
                Fate::Close
            }
            State::Active => {
                if let Some(step) = self.time_out_forwarding(lane) {
                    return if step == Step::Close { Fate::Close } else { self.drive(lane) };
                }
                let takes_nothing = !self.writable;
                if takes_nothing || self.response.head_written {
                    self.socket.reset_on_close();
                    return Fate::Close;
                }
                self.refuse(lane, Cause::BodyTooSlow);
                let _ = self.flush();
                Fate::Close
            }
            State::Reading | State::Draining(_) | State::Lingering(_) => Fate::Close,
        }
    }

    /// Moves what can move.
    pub(crate) fn drive(&mut self, lane: &mut Lane) -> Fate {
        let fate = self.advance(lane);
        if fate == Fate::Keep { self.finish_turn(lane) } else { fate }
    }

    fn advance(&mut self, lane: &mut Lane) -> Fate {
        loop {
            let step = match self.state {
                State::Reading => self.read_head(lane),
                State::Active => self.answer(lane),
                State::Draining(left) | State::Lingering(left) => self.drop_body(lane, left),
            };
            match step {
                Step::Again => {}
                Step::Wait => return Fate::Keep,
                Step::Close => return Fate::Close,
            }
        }
    }

    /// Sends what has gathered, and sets the clock for a client that does not take it.
    fn finish_turn(&mut self, lane: &mut Lane) -> Fate {
        // The answer to come will be sent with this one.
        let next_is_waiting = self.slot.is_some_and(|slot| slot.lane().queued);
        let waits_for_others = lane.sends_together()
            && self.state == State::Reading
            && self.sending().is_some()
            && self.out.len() <= COPY
            && lane.send_later(self.key);
        if !next_is_waiting && !waits_for_others && self.flush().is_err() {
            return Fate::Close;
        }
        match self.state {
            State::Lingering(_) if self.out.is_empty() => self.socket.shut_down_send(),
            State::Active => self.set_pace(lane),
            State::Draining(_) | State::Lingering(_) | State::Reading => {}
        }
        Fate::Keep
    }

    /// Sets the clock of a client that is waited for during an exchange: it must keep up the
    /// minimum rate, as under Kestrel, counted from the moment at which waiting began.
    fn set_pace(&mut self, lane: &Lane) {
        let (now, options) = (lane.clock.now(), &lane.options);
        let grace = options.rate_grace.as_millis() as u64;
        let allowed = |bytes: u64| grace.max((bytes * 1000) / options.min_rate.max(1));
        self.deadline = u64::MAX;
        if self.writable {
            self.taking.begun = None;
        } else {
            // What waits counts as taken: a slow client has until all of it could have been.
            let begun = *self.taking.begun.get_or_insert((now, self.out.sent_total()));
            let waiting = self.out.len() + self.slot.map_or(0, |slot| slot.lane().unsent());
            let bytes = self.out.sent_total() - begun.1 + waiting as u64;
            self.deadline = begun.0 + allowed(bytes);
        }
        if self.waits_for_body() {
            let begun = *self.sending.begun.get_or_insert((now, self.received));
            let bytes = self.received - begun.1;
            self.deadline = self.deadline.min(begun.0 + allowed(bytes));
        } else {
            self.sending.begun = None;
        }
        if let Some(forwarding) = &self.forwarding {
            self.deadline = self.deadline.min(forwarding.deadline());
        }
    }

    /// Whether the next thing to happen to the exchange is a byte of its body.
    fn waits_for_body(&self) -> bool {
        if self.inbound.is_complete() || self.readable || self.response.is_raw() {
            return false;
        }
        if self.forwarding.is_some() && self.response.continue_wanted {
            // Its own wait is what there is to end.
            return false;
        }
        match (&self.forwarding, self.slot) {
            (Some(forwarding), _) => forwarding.wants_body(),
            (None, Some(slot)) => {
                slot.lane().in_use
                    && slot.progress() & progress::READING != 0
                    && slot.ring().free() > 0
            }
            (None, None) => false,
        }
    }

    /// Counts body bytes. `false`: there are more than the limit allows.
    pub(crate) fn count_body(&mut self, bytes: usize) -> bool {
        self.received += bytes as u64;
        let left = self.body_left.checked_sub(bytes as u64);
        self.body_left = left.unwrap_or(0);
        left.is_some()
    }

    /// Sends what has gathered, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        if self.writable {
            self.writable = self.out.flush(&self.socket)?;
        }
        Ok(())
    }
}

/// How [`Client::advance`] goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Again,
    Wait,
    Close,
}
