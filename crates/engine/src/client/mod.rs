//! A client's connection: requests in, responses out, one exchange at a time.
//!
//! [`Client::drive`] moves everything that can move and returns when it needs an event. It may
//! be called at any time and finds out by itself what there is to do:
//!
//! ```text
//!  Reading ──head complete──► Active ──response ended──► Reading        (body read to its end)
//!     ▲                                     ├──────────► Draining ──┐   (body left, keep-alive)
//!     └─────────────────────────────────────│───────────────────────┘
//!                                           ├──────────► Lingering      (the connection ends)
//!                                           └──────────► Cutting        (… before the response does)
//! ```

mod answering;
mod ending;
mod forwarding;
mod pace;
mod reading;
mod together;

use std::net::SocketAddr;

use os::epoll;
use os::socket::{Socket, Transfer};

use self::pace::{Pace, Waits};
use crate::body::Inbound;
use crate::exchange::{ConnectionKey, Rates, SlotRef};
use crate::forward::Forwarding;
use crate::lane::Lane;
use crate::outgoing::Outgoing;
use crate::response::Response;

/// Response bytes up to this are copied behind their head, so that one send carries both.
const COPY: usize = 16 * 1024;
/// Bytes that may wait for a client before its next pipelined request is looked at.
const PIPELINE: usize = 64 * 1024;
/// Bytes of an unread request body that are read and dropped to keep a connection.
const DRAIN: u64 = 1 << 20;
/// How often is looked whether a client that will be reset has all that was sent, in milliseconds.
const RECEIPT: u64 = 10;
/// Body bytes that move in one direction before others get a turn: a client and an application
/// that are both fast must not have the lane to themselves.
const TURN: usize = 512 * 1024;

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    Close,
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
    /// As above, but only a reset says what there is to say, once the client has all that was sent:
    /// so many looks at most.
    Cutting(u64),
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
    pub(crate) writable: bool,
    /// The kernel holds more for it than for others.
    pub(crate) has_room: bool,
    /// The client will send no more.
    half_closed: bool,
    /// The connection is beyond use in both directions.
    gone: bool,
    /// Our side ends when what waits for the client is sent.
    ends: bool,
    /// It has ended.
    has_ended: bool,
    state: State,
    /// The outcome of a receive into the slot that nobody has looked at.
    ahead: Option<std::io::Result<Transfer>>,
    /// What came behind the current request.
    surplus: Option<SlotRef>,
    /// More may come that nobody reads: what the client sends is not understood any more, or is
    /// sent before the answer to what came before.
    sends_on: bool,
    forwarding: Option<Box<Forwarding>>,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
    number: u64,
    requests: u64,
    /// When a response ended during a drain whose head, written before, told the client to go on, if
    /// that still holds ([`Lane::invites`]); 0 is never.
    invited: u64,
    /// What the limit of a request body has left for this one.
    body_left: u64,
    /// In the lane's milliseconds; `u64::MAX` is none.
    deadline: u64,
    /// When the lane's wheel brings the connection up; `u64::MAX` is never.
    pub(crate) armed: u64,
    /// The client's speed as a sender of body bytes, and as a taker of ours.
    sending: Pace,
    taking: Pace,
    /// How long the application has waited for the body.
    waits: Waits,
    /// What the application has said of these speeds for the exchange.
    rates: Option<Rates>,
    /// The application wants to hear of the connection's end.
    pub(crate) watched: bool,
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
            has_room: false,
            half_closed: false,
            gone: false,
            ends: false,
            has_ended: false,
            state: State::Reading,
            ahead: None,
            surplus: None,
            sends_on: false,
            forwarding: None,
            remote,
            local: None,
            number,
            requests: 0,
            invited: 0,
            body_left: u64::MAX,
            deadline,
            armed: u64::MAX,
            sending: Pace::default(),
            taking: Pace::default(),
            waits: Waits::default(),
            rates: None,
            watched: false,
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
        // Where our side has ended, a hang-up is that of the client's.
        if bits & epoll::ERR != 0 || (bits & epoll::HUP != 0 && !self.has_ended) {
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

    /// What the client waits for, if it has asked for something: since when, and in words.
    pub(crate) fn unfinished(&self) -> Option<(u64, String)> {
        let slot = self.slot.filter(|_| self.state == State::Active)?;
        let side = slot.lane();
        let stage = if self.response.is_raw() {
            "upgraded"
        } else if !self.writable && self.response.head_written {
            "waiting for the client to take its answer"
        } else if self.waits_for_body() {
            "waiting for the body from the client"
        } else if side.queued || side.held_since.is_some_and(|_| !side.counted) {
            "waiting for the application"
        } else if self.forwarding.is_some() {
            "with the backend"
        } else {
            "in the application"
        };
        let request = slot.request();
        // The query may hold what is not meant for a log.
        let path = request.target().split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = String::from_utf8_lossy(&path[..path.len().min(200)]);
        let method = String::from_utf8_lossy(request.method());
        Some((side.begun, format!("{method} {path}, {stage}").escape_debug().to_string()))
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
                State::Cutting(_) if self.gone => Step::Close,
                State::Cutting(_) => Step::Wait,
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
            State::Active => self.set_pace(lane),
            State::Reading | State::Draining(_) | State::Lingering(_) | State::Cutting(_) => {
                self.set_clock(lane);
            }
        }
        Fate::Keep
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
        if self.ends && !self.has_ended && self.out.is_empty() {
            self.has_ended = true;
            self.socket.shut_down_send();
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
